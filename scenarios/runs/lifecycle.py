"""How a run ends, and how it is queued again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from scenarios.database.durability import on_disk
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, RunState, Verdict
from scenarios.models import Fault, Run
from scenarios.ports import Event
from scenarios.runs import admission
from scenarios.runs.events import store_or_reduce, write_event
from scenarios.runs.leases import Claim, fenced


def queue_run_again(claim: Claim, reason: str, at: datetime) -> Run | None:
    """Queue the run as its next attempt; the watchdog enqueues it.

    None where a stop was asked for, or where a fault of this attempt is not closed.

    Raises:
        LeaseLost: another process has claimed it.
    """
    changes: dict[str, Any] = {"attempt": F("attempt") + 1, "worker": "", "lease_until": None}
    again: dict[str, Any] = {"state": RunState.QUEUED, "claimed_at": None, "enqueued_at": None}
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(id=claim.run_id, fence=claim.fence)
        # The row is locked: no stop that is requested from now on is forgotten.
        if any(asked_at is not None for asked_at in held.values_list("stop_requested_at", flat=True)):
            return None
        if Fault.objects.still_open().filter(run=claim.run_id).exists():
            return None
        with fenced(claim, **changes, **again) as run:
            write_event(run, Event(EventKind.RUN_QUEUED_AGAIN, at, detail={"reason": reason}))
            admission.release_holds(run)
    return Run.objects.get(id=claim.run_id)


def finish_run(claim: Claim, verdict: Verdict, at: datetime) -> Run:
    """End the run; return its row afterwards."""
    detail = {"outcome": verdict.outcome, "reason": verdict.reason, "rollback": verdict.rollback}
    with on_disk():
        _finish(claim, detail, at)
    return Run.objects.get(id=claim.run_id)


def give_up_run(claim: Claim, reason: str, at: datetime) -> Run:
    """End the run `errored`, with all that it may have left injected outstanding, and due for a try."""
    with on_disk():
        faults = Fault.objects.filter(run=claim.run_id)
        left = faults.to_undo()
        for fault in left.filter(state=FaultState.INJECTING, late_seconds__gt=0.0):
            left.filter(id=fault.pk).update(late_until=at + timedelta(seconds=fault.late_seconds))
        left.filter(reason="").update(reason=reason)
        left.update(state=FaultState.OUTSTANDING, next_try_at=at)
        detail = {"outcome": Outcome.ERRORED, "reason": reason, "rollback": faults.rollback()}
        _finish(claim, detail, at)
    return Run.objects.get(id=claim.run_id)


def _finish(claim: Claim, detail: Mapping[str, Any], at: datetime) -> None:
    # The end takes the lease away at once: a renewal that comes later finds none.
    ending: dict[str, Any] = {"state": RunState.FINISHED, "finished_at": at, "lease_until": None}
    ending |= {"outcome": detail["outcome"], "rollback": detail["rollback"]}
    with fenced(claim, **ending) as run:
        store_or_reduce(Run.objects.filter(id=run.id).update, reason=detail["reason"])
        run.reason = detail["reason"]
        write_event(run, Event(EventKind.RUN_FINISHED, at, detail=detail))
        admission.release_holds(run)
