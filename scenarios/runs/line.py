"""The line of queued runs: by priority, and first queued, first started.

A run that cannot begin keeps its place and what it waits for: a later run passes it only where the
two share no service. So a run that needs two services is not overtaken for ever by those that need one.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from django.db.models import Q

from scenarios.drivers import hosts
from scenarios.models import GlobalStop, Hold, Run, RunQuerySet
from scenarios.runs import admission, container_targets, host_targets, registry

FIELDS = (
    "id",
    "attempt",
    "priority",
    "services",
    "targets",
    "scenario_name",
    "waiting_for",
    "queued_at",
    "enqueued_at",
    "begin_after",
)
CHUNK = 200


def in_line(now: datetime) -> RunQuerySet:
    """Queued runs, the first in line first; without those whose schedule's window has closed."""
    closed = Q(begin_before__lte=now)
    return Run.objects.queued().exclude(closed).order_by("-priority", "queued_at", "id")


def scan_line(stop: GlobalStop, now: datetime, host: str | None = None) -> Iterator[tuple[Run, str]]:
    """Each run in line with what keeps it from beginning, "" where nothing does.

    Must be called while `stop` is locked. `host` is that of the worker that would claim the run, where it is
    known. No more runs come with "" than there are places.
    """
    if stop.pulled_at is not None:
        yield from ((run, admission.describe_stop(stop)) for run in _read_line(now))
        return
    held = {hold.service: hold for hold in _read_holds()}
    held_host = next((hold for name, hold in held.items() if name.startswith(hosts.TARGET_PREFIX)), None)
    places, no_place = admission.count_places()
    reserved: dict[str, str] = {}
    for run in _read_line(now):
        if run.begin_after is not None and run.begin_after > now:
            yield run, run.waiting_for  # it delays no other run meanwhile
            continue
        touched = host_targets.resolve_worker(run, host) if host else run.services
        reasons = [_describe_hold(name, held, held_host) for name in touched]
        reasons += [_find_reservation(name, reserved) for name in sorted(host_targets.list_claims(run))]
        obstacle = next(filter(None, reasons), "" if places > 0 else no_place)
        places -= not obstacle
        for name in host_targets.list_claims(run):
            reserved.setdefault(name, admission.describe_earlier_run(run, name))
        yield run, obstacle


def _describe_hold(target: str, held: Mapping[str, Hold], held_host: Hold | None) -> str:
    """Who holds the target, as a sentence; "" if nobody does."""
    found = held_host if target == hosts.ANY_HOST else held.get(target)
    if found is None and registry.is_address(target):
        found = held.get(registry.hidden(target))
    if found is None:
        found = held.get(container_targets.find_excluding(target, held))
    return admission.describe_hold(found, "" if target == hosts.ANY_HOST else target) if found else ""


def _find_reservation(target: str, reserved: Mapping[str, str]) -> str:
    """Which earlier run in line waits for the target, as a sentence; "" where none does."""
    return reserved.get(target) or reserved.get(container_targets.find_excluding(target, reserved), "")


def _read_holds() -> Iterable[Hold]:
    return Hold.objects.select_related("run").defer("run__document", "run__included", "run__variables")


def _read_line(now: datetime) -> Iterator[Run]:
    return in_line(now).only(*FIELDS).iterator(chunk_size=CHUNK)
