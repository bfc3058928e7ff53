"""Queries for Home and the lists, a few for many rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import UNFINISHED, FaultState, RunState
from scenarios.library.last_runs import find_last_runs
from scenarios.models import Approval, Event, Fault, Hold, Host, NamedService, Run, Scenario, Service

MAX_UNFINISHED = 20
MAX_OUTSTANDING = MAX_INJECTED = 20
INJECTED_STATES = (FaultState.INJECTING, FaultState.ACTIVE)
MAX_SCENARIOS = 50
MAX_NEVER_RUN = 8
# Thousands of scenarios may use one service; the list of scenarios then shows them.
MAX_LISTED_USES, MAX_USES_ON_PAGE = 10, 100


def unfinished_runs() -> list[Run]:
    """Running and queued runs, each with its present `phase`."""
    started = Event.objects.filter(run=OuterRef("pk"), kind=EventKind.PHASE_STARTED).order_by("-sequence")
    rows = (
        Run.objects.unfinished()
        .for_a_list()
        .select_related("started_by")
        .annotate(phase=Subquery(started.values("phase")[:1]))
    )
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


def list_last_runs() -> list[tuple[Scenario, Run | None]]:
    """Scenarios with their newest runs: those that have one, or the first of those that have none."""
    rows = list(Scenario.objects.defer("document")[:MAX_SCENARIOS])
    found = with_last_run(rows)
    return [row for row in found if row[1] is not None] or found[:MAX_NEVER_RUN]


def with_last_run(scenarios: Sequence[Scenario]) -> list[tuple[Scenario, Run | None]]:
    """Each scenario and its newest run, in two queries."""
    found = find_last_runs(scenarios)
    return [(row, found.get(row.pk)) for row in scenarios]


def find_holders() -> dict[str, Run]:
    """By service, the run that holds it."""
    holds = Hold.objects.select_related("run").defer("run__document", "run__included", "run__variables")
    return {hold.service: hold.run for hold in holds}


@dataclass(frozen=True, slots=True)
class NamedIn:
    """All scenarios whose steps name a service, by name: those that act on it, and those that only look."""

    touching: Sequence[str] = ()
    probing: Sequence[str] = ()


def list_uses(services: Iterable[str]) -> dict[str, NamedIn]:
    """By service."""
    rows = NamedService.objects.filter(service__in=list(services)).order_by("service", "scenario_name")
    found: dict[str, tuple[list[str], list[str]]] = {}
    for service, name, is_touched in rows.values_list("service", "scenario_name", "is_touched"):
        found.setdefault(service, ([], []))[0 if is_touched else 1].append(name)
    return {service: NamedIn(*names) for service, names in found.items()}


@dataclass(frozen=True, slots=True)
class Use:
    """How many scenarios use a service in one way, and the keys and names of some of them."""

    count: int = 0
    scenarios: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Uses:
    """By the scenarios that act on the service, and by those that only look at it."""

    touching: Use = Use()
    probing: Use = Use()


def find_uses(services: Iterable[str]) -> dict[str, Uses]:
    """By service; without names where more than MAX_LISTED_USES scenarios use it."""
    rows = NamedService.objects.filter(service__in=list(services))
    grouped = rows.values_list("service", "is_touched").annotate(count=Count("scenario_name"))
    counts = {(service, is_touched): count for service, is_touched, count in grouped.order_by("service")}
    totals: dict[str, int] = {}
    for (service, _is_touched), count in counts.items():
        totals[service] = totals.get(service, 0) + count
    few = [service for service, count in totals.items() if count <= MAX_LISTED_USES]
    named: dict[tuple[str, bool], list[tuple[int, str]]] = {}
    named_rows = rows.filter(service__in=few).order_by("service", "scenario_name")
    columns = ("service", "is_touched", "scenario_id", "scenario_name")
    for service, is_touched, key, name in named_rows.values_list(*columns):
        named.setdefault((service, is_touched), []).append((key, name))
    ways = {way: Use(count, tuple(named.get(way, ()))) for way, count in counts.items()}
    return {
        service: Uses(ways.get((service, True), Use()), ways.get((service, False), Use()))
        for service in totals
    }


def find_uses_of_one(service: str) -> Uses:
    """For the service's own page: how many there are, and the names of the first."""
    return Uses(_find_use(service, is_touched=True), _find_use(service, is_touched=False))


def _find_use(service: str, *, is_touched: bool) -> Use:
    rows = NamedService.objects.filter(service=service, is_touched=is_touched).order_by("scenario_name")
    first = rows.values_list("scenario_id", "scenario_name")[:MAX_USES_ON_PAGE]
    return Use(rows.count(), tuple(first))


def scenario_named(name: str) -> Scenario | None:
    return Scenario.objects.filter(name=name).defer("document").first()


def pending_approvals() -> list[Approval]:
    return list(Approval.objects.pending().for_a_list()[:MAX_UNFINISHED])
