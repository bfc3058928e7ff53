"""What the holder of a run writes: claim, renew, take over, journal, finish. Its faults: see ledger.py.

A claim is the right to write, and its fence is the proof: each claim and take-over raises the run's
fence by one, and each write names the fence of its claim. A process that lost its lease, however late
it wakes, finds another fence in the row and writes nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from scenarios.database.durability import on_disk
from scenarios.domain.errors import LeaseLost, LedgerUnreachable
from scenarios.domain.outcomes import RunState
from scenarios.drivers import hosts
from scenarios.drivers.platform import pin_places
from scenarios.models import Run, RunQuerySet
from scenarios.ports import Event
from scenarios.published.metrics import TAKEOVERS
from scenarios.runs import admission, line
from scenarios.runs.events import find_event, take_numbers, write_events


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write to a run."""

    run_id: UUID
    fence: int


def compute_lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def claim_run(run_id: str | UUID, attempt: int, *, worker: str) -> Claim | None:
    """Claim a queued run for this worker, and hold its services.

    Returns None if the message is stale, someone was quicker, or the run cannot begin now: then it says what
    it waits for, and is enqueued again later. One whose schedule's window has closed is left to the watchdog,
    which ends it.
    """
    # Before the lock, which no name server may hold up.
    admission.resolve_targets(Run.objects.queued().filter(id=run_id))
    return _claim_queued(run_id, attempt, worker=worker)


def _claim_queued(run_id: str | UUID, attempt: int, *, worker: str) -> Claim | None:
    waiting = Run.objects.queued().filter(id=run_id, attempt=attempt)
    waiting = waiting.exclude(begin_before__lte=timezone.now())
    with on_disk():
        stop = admission.lock_admission()
        run = waiting.first()
        if run is None:
            return None
        run.services = admission.find_touched_now(run)
        if obstacle := admission.find_obstacle(run, stop):
            waiting.update(waiting_for=obstacle[:500], services=run.services)
            return None
        now = timezone.now()
        begun = {"state": RunState.RUNNING, "claimed_at": now, "waiting_for": "", "services": run.services}
        begun["takeovers"] = 0
        addresses, pinned = pin_places(run.services)
        claim = _claim(waiting, worker, addresses=addresses, pinned=pinned, **begun)
        if claim is not None:
            admission.hold_services(run)
    return claim


def claim_next_run(*, worker: str) -> Claim | None:
    """Claim the first run in line that may begin now, for this worker; None if none may.

    Runs that cannot begin say what they wait for, so that they are enqueued again when it is gone.
    """
    admission.resolve_targets(line.in_line(timezone.now()))
    with on_disk():
        stop = admission.lock_admission()
        passed: list[Run] = []
        for run, obstacle in line.scan_line(stop, timezone.now(), hosts.this_host()):
            claim = None if obstacle else _claim_queued(run.id, run.attempt, worker=worker)
            if claim is not None:
                return claim
            if obstacle and not run.waiting_for:
                run.waiting_for = obstacle[:500]
                passed.append(run)
        Run.objects.bulk_update(passed, ["waiting_for"], batch_size=100)
    return None


def take_over_run(run: Run, *, worker: str) -> Claim | None:
    """Claim a run as it was seen, with a lease that ran out, or ended and held by nobody.

    Returns None if its holder has renewed the lease since, or another process was quicker.
    """
    begun = Run.objects.exclude(state=RunState.QUEUED)
    as_seen = begun.filter(id=run.id, fence=run.fence, lease_until=run.lease_until)
    changes = {"takeovers": Coalesce(F("takeovers"), 0) + 1} if run.state == RunState.RUNNING else {}
    claim = _claim(as_seen, worker, **changes)
    if claim is not None and changes:
        TAKEOVERS.labels(scenario=run.scenario_name).inc()
    return claim


def claim_finished_run(run_id: UUID, *, worker: str) -> Claim | None:
    """Claim a finished run at a user's request, to undo what it left; None while another process holds it."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())
    return _claim(Run.objects.filter(free, id=run_id, state=RunState.FINISHED), worker)


def _claim(one_run: RunQuerySet, worker: str, **changes: Any) -> Claim | None:
    with transaction.atomic():
        row = one_run.values_list("id", "fence").first()
        if row is None:
            return None
        run_id, fence = row
        # One conditional UPDATE, and a look at the row count: of any number of processes that read
        # the same fence, the database lets exactly one through.
        claimed = one_run.filter(fence=fence).update(
            fence=fence + 1,
            worker=worker,
            lease_until=compute_lease_end(),
            lease_seconds=settings.LEASE_SECONDS,
            **changes,
        )
    return Claim(run_id, fence + 1) if claimed == 1 else None


def renew_lease(claim: Claim) -> None:
    """Hold the run for another lease; without effect where this holder has ended it, or let go of it.

    Raises:
        LeaseLost: another process has claimed it.
    """
    own = Run.objects.filter(id=claim.run_id, fence=claim.fence)
    # A renewal may have waited behind the end of the run: an ended run has no lease, and gets none again.
    held = own.filter(lease_until__isnull=False)
    changes = {"lease_until": compute_lease_end(), "lease_seconds": settings.LEASE_SECONDS}
    if held.update(**changes) != 1 and not own.exists():
        raise build_lost_error(claim)


def build_lost_error(claim: Claim) -> LeaseLost:
    if Run.objects.filter(id=claim.run_id).exists():
        return LeaseLost(f"run {claim.run_id} has another holder: fence {claim.fence} is no longer valid")
    # For example, an older backup was restored, and this run's faults are no longer in the ledger.
    return LedgerUnreachable(f"run {claim.run_id} is no longer in the database")


def expire_leases(worker: str) -> None:
    """Let the leases of a worker run out now: it is known to be dead, and nobody need wait."""
    Run.objects.running().filter(worker=worker).update(lease_until=timezone.now() - timedelta(seconds=1))


def release(claim: Claim) -> None:
    """Let go of a finished run; without effect where it has another holder."""
    Run.objects.filter(id=claim.run_id, fence=claim.fence, state=RunState.FINISHED).update(lease_until=None)


@contextmanager
def fenced(claim: Claim, *, events: int = 1, **changes: Any) -> Iterator[Run]:
    """A transaction in which the claim still holds, for this many events.

    Raises:
        LeaseLost: another process has claimed the run since.
    """
    with transaction.atomic():
        held = Run.objects.filter(id=claim.run_id, fence=claim.fence)
        # The update comes first: it locks the row, so that no take-over can slip in before the commit.
        if held.update(**take_numbers(events), **changes) != 1:
            raise build_lost_error(claim)
        yield Run.objects.get(id=claim.run_id)


def append_event(claim: Claim, event: Event) -> None:
    append_events(claim, [event])


def append_events(claim: Claim, events: Sequence[Event]) -> None:
    """Write the events in this order, all of them or none."""
    with fenced(claim, events=len(events)) as run:
        write_events(run, events)


def is_written(claim: Claim, event: Event) -> bool:
    """Whether an earlier try has written this event, whose answer was lost.

    Raises:
        LeaseLost: another process has claimed the run.
    """
    with transaction.atomic():
        # A server that has not seen the connection break may still be at it, with a lock on the row.
        own = Run.objects.filter(id=claim.run_id, fence=claim.fence)
        if own.update(fence=F("fence")) != 1:
            raise build_lost_error(claim)
        return find_event(claim.run_id, event) is not None
