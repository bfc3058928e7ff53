"""What a person does about an outstanding fault: retry its undo, or acknowledge it."""

from django.db.models import QuerySet
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.models import Fault
from scenarios.ports import Event
from scenarios.runs.leases import claim_finished_run, release
from scenarios.runs.ledger import mark_acknowledged
from scenarios.runs.ledger_entries import list_open_faults
from scenarios.runs.task_queue import enqueue_waiting_runs


def retry_undo(faults: QuerySet[Fault]) -> int:
    """Make outstanding faults due now, so that the watchdog tries them within a second; return how many."""
    now = timezone.now()
    left = Fault.objects.left_behind().filter(id__in=faults.values("id"))
    return left.update(next_try_at=now, retry_requested_at=now)


def acknowledge_fault(row: Fault, *, by: str, reason: str) -> bool:
    """Close an open fault of an ended run on a person's responsibility. Returns False if it is closed
    already.

    The run's rollback becomes clean when this was its last one.
    """
    claim = claim_finished_run(row.run_id, worker=f"acknowledged by {by}")
    if claim is None:
        return False
    try:
        still_open = [fault for fault in list_open_faults(claim) if fault.key == row.pk]
        for fault in still_open:
            detail = {"by": by, "reason": reason}
            kind = EventKind.FAULT_ACKNOWLEDGED
            event = Event(kind, timezone.now(), fault.phase, fault.action, detail)
            mark_acknowledged(claim, fault, event)
    finally:
        release(claim)
    enqueue_waiting_runs()
    return bool(still_open)
