"""What Home and the lists tell of many rows at once, each in a few queries."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from django.db.models import Case, Count, OuterRef, Q, Subquery, Value, When
from django.utils import timezone

from scenarios.domain.document import build_plan, parse_document, services_of
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.models import Approval, Event, Fault, Hold, Run, Scenario
from scenarios.surroundings import step_arguments

DAYS = 30
MOST_UNFINISHED = 20
# As the exit code of `scenario run` has it: with something still injected nothing has passed.
PASSED = Q(outcome=Outcome.PASSED, rollback=Rollback.CLEAN)
MOST_OUTSTANDING = 20
MOST_SCENARIOS = 50
_SERVICE = re.compile(r"\bservice:\s*[\"']?([a-z0-9][-a-z0-9]*)")


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    runs: int
    passed: int


def unfinished_runs() -> list[Run]:
    """Running and queued ones, each with the `phase` it is in."""
    started = Event.objects.filter(run=OuterRef("pk"), kind="phase_started").order_by("-sequence")
    rows = Run.objects.unfinished().for_a_list().annotate(phase=Subquery(started.values("phase")[:1]))
    return list(rows.order_by("-state", "queued_at")[:MOST_UNFINISHED])


def outstanding_faults() -> list[Fault]:
    rows = Fault.objects.outstanding().select_related("run").defer("run__document", "run__variables")
    return list(rows.order_by("opened_at")[:MOST_OUTSTANDING])


def runs_per_day() -> list[Day]:
    """The last 30 days, today the last; days without a run too."""
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
    """Which of the days from `first` to before `end` a run was queued on, by halving.

    Not TruncDate and `__date`: on SQLite both call Python for each row, and no index serves them.
    """
    if end - first == 1:
        return Value(first)
    middle = (first + end) // 2
    earlier, later = _number_of_day(begins, first, middle), _number_of_day(begins, middle, end)
    return Case(When(queued_at__lt=begins[middle], then=earlier), default=later)


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


def holders() -> dict[str, Run]:
    """By service, the run that has it for itself."""
    return {hold.service: hold.run for hold in Hold.objects.select_related("run")}


def scenarios_by_service() -> dict[str, list[tuple[int, str]]]:
    """By service, the key and name of each scenario whose steps name it."""
    touching: dict[str, list[tuple[int, str]]] = {}
    for key, name, source in Scenario.objects.values_list("pk", "name", "document"):
        for service in sorted(services_named(source)):
            touching.setdefault(service, []).append((key, name))
    return touching


@lru_cache(maxsize=2048)
def services_named(source: str) -> frozenset[str]:
    """The services of the document's steps, with its variables' defaults where they have some."""
    try:
        document = parse_document(source, step_arguments())
        return frozenset(services_of(build_plan(document, {})))
    except (InvalidDocument, InvalidVariables):
        # Without its variables there is no plan: what is written plainly is better than nothing.
        return frozenset(_SERVICE.findall(source))


def scenario_named(name: str) -> Scenario | None:
    return Scenario.objects.filter(name=name).defer("document").first()


def pending_approvals() -> list[Approval]:
    return list(Approval.objects.pending().for_a_list()[:MOST_UNFINISHED])


def shares(days: Iterable[Day]) -> Mapping[str, int | float | None]:
    runs, passed = 0, 0
    for day in days:
        runs, passed = runs + day.runs, passed + day.passed
    return {"runs": runs, "passed": passed, "rate": passed / runs * 100 if runs else None}
