"""Queries for Home and the lists, a few for many rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, OuterRef, Q, Subquery, Value, When
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import UNFINISHED, FaultState, Outcome, Rollback, RunState
from scenarios.models import Approval, Event, Fault, Hold, Host, NamedService, Run, Scenario, Service
from scenarios.pictures.days import Day

DAYS = 30
MAX_UNFINISHED = 20
# As in the exit code of `scenario run`: a run that left something injected has not passed.
PASSED = Q(outcome=Outcome.PASSED, rollback__in=[Rollback.CLEAN, Rollback.UNVERIFIED])
MAX_OUTSTANDING = MAX_INJECTED = 20
INJECTED_STATES = (FaultState.INJECTING, FaultState.ACTIVE)
MAX_SCENARIOS = 50
MAX_NEVER_RUN = 8
# Thousands of scenarios may use one service; the list of scenarios then shows them.
MAX_LISTED_USES, MAX_USES_ON_PAGE = 10, 100


def unfinished_runs() -> list[Run]:
    """Running and queued runs, each with its present `phase`."""
    started = Event.objects.filter(run=OuterRef("pk"), kind=EventKind.PHASE_STARTED).order_by("-sequence")
    rows = Run.objects.unfinished().for_a_list().annotate(phase=Subquery(started.values("phase")[:1]))
    return list(rows.order_by("-state", "queued_at")[:MAX_UNFINISHED])


def find_newest_verdict() -> UUID | None:
    """The run that ended last."""
    ended = Run.objects.filter(state=RunState.FINISHED).order_by("-finished_at")
    return ended.values_list("pk", flat=True).first()


def find_visible_targets(user: Any) -> bool:
    """Whether there are fault proxies or hosts whose state this person may see."""
    if user.has_perm("scenarios.view_service") and Service.objects.exclude(proxy="").exists():
        return True
    return bool(user.has_perm("scenarios.view_host")) and Host.objects.exists()


def injected_faults() -> list[Fault]:
    """Faults of runs that go on, the oldest first; without those whose undo has failed."""
    rows = Fault.objects.not_outstanding().filter(state__in=INJECTED_STATES, run__state__in=UNFINISHED)
    rows = rows.select_related("run").defer("run__document", "run__variables")
    return list(rows.order_by("opened_at")[:MAX_INJECTED])


def outstanding_faults() -> list[Fault]:
    rows = (
        Fault.objects.outstanding()
        .select_related("run")
        .defer("run__document", "run__included", "run__variables")
    )
    return list(rows.order_by("opened_at")[:MAX_OUTSTANDING])


def runs_per_day() -> list[Day]:
    """The last 30 days, up to today, including days without a run."""
    today = timezone.localdate()
    days = [today - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    begins = [timezone.make_aware(datetime.combine(day, time.min)) for day in days]
    counted = (
        Run.objects.filter(queued_at__gte=begins[0], finished_at__isnull=False)
        .values(number=_number_of_day(begins, 0, DAYS))
        .order_by("number")
        .annotate(runs=Count("queued_at"), passed=Count("queued_at", filter=PASSED))
    )
    found = {row["number"]: (row["runs"], row["passed"]) for row in counted}
    return [Day(day, *found.get(number, (0, 0))) for number, day in enumerate(days)]


def _number_of_day(begins: Sequence[datetime], first: int, end: int) -> Case | Value:
    """The number of the day, from `first` to before `end`, on which a run was queued; found by halving.

    TruncDate and `__date` would call Python for each row on SQLite, without an index.
    """
    if end - first == 1:
        return Value(first)
    middle = (first + end) // 2
    earlier, later = _number_of_day(begins, first, middle), _number_of_day(begins, middle, end)
    return Case(When(queued_at__lt=begins[middle], then=earlier), default=later)


def list_last_runs() -> list[tuple[Scenario, Run | None]]:
    """Scenarios with their newest runs: those that have one, or the first of those that have none."""
    rows = list(Scenario.objects.defer("document")[:MAX_SCENARIOS])
    found = with_last_run(rows)
    return [row for row in found if row[1] is not None] or found[:MAX_NEVER_RUN]


def with_last_run(scenarios: Sequence[Scenario]) -> list[tuple[Scenario, Run | None]]:
    """Each scenario and its newest run, in two queries."""
    newest = Run.objects.filter(scenario=OuterRef("pk")).order_by("-queued_at").values("pk")[:1]
    keys = dict(
        Scenario.objects.filter(pk__in=[row.pk for row in scenarios])
        .annotate(last_run_id=Subquery(newest))
        .values_list("pk", "last_run_id")
    )
    runs = Run.objects.for_a_list().in_bulk([key for key in keys.values() if key])
    return [(row, runs.get(keys[row.pk])) for row in scenarios]


def find_holders() -> dict[str, Run]:
    """By service, the run that holds it."""
    holds = Hold.objects.select_related("run").defer("run__document", "run__included", "run__variables")
    return {hold.service: hold.run for hold in holds}


def scenarios_by_service(services: Iterable[str]) -> dict[str, list[str]]:
    """By service, the names of all scenarios whose steps name it."""
    rows = NamedService.objects.filter(service__in=list(services)).order_by("service", "scenario_name")
    touching: dict[str, list[str]] = {}
    for service, name in rows.values_list("service", "scenario_name"):
        touching.setdefault(service, []).append(name)
    return touching


@dataclass(frozen=True, slots=True)
class Use:
    """How many scenarios name a service in their steps, and the keys and names of some of them."""

    count: int = 0
    scenarios: tuple[tuple[int, str], ...] = ()


def find_uses(services: Iterable[str]) -> dict[str, Use]:
    """By service; without names where more than MAX_LISTED_USES scenarios use it."""
    rows = NamedService.objects.filter(service__in=list(services))
    counts = dict(rows.values_list("service").annotate(count=Count("scenario_name")).order_by("service"))
    few = [service for service, count in counts.items() if count <= MAX_LISTED_USES]
    named: dict[str, list[tuple[int, str]]] = {}
    named_rows = rows.filter(service__in=few).order_by("service", "scenario_name")
    for service, key, name in named_rows.values_list("service", "scenario_id", "scenario_name"):
        named.setdefault(service, []).append((key, name))
    return {service: Use(count, tuple(named.get(service, ()))) for service, count in counts.items()}


def find_use(service: str) -> Use:
    """For the service's own page: how many there are, and the names of the first."""
    rows = NamedService.objects.filter(service=service).order_by("scenario_name")
    first = rows.values_list("scenario_id", "scenario_name")[:MAX_USES_ON_PAGE]
    return Use(rows.count(), tuple(first))


def scenario_named(name: str) -> Scenario | None:
    return Scenario.objects.filter(name=name).defer("document").first()


def pending_approvals() -> list[Approval]:
    return list(Approval.objects.pending().for_a_list()[:MAX_UNFINISHED])


def compute_shares(days: Iterable[Day]) -> Mapping[str, int | float | None]:
    runs, passed = 0, 0
    for day in days:
        runs, passed = runs + day.runs, passed + day.passed
    return {"runs": runs, "passed": passed, "rate": passed / runs * 100 if runs else None}
