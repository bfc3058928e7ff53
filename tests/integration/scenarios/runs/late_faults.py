"""A run whose only fault was never answered, for tests that play the ledger's time."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from scenarios.domain.errors import LeaseLost
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Verdict
from scenarios.domain.plan import Step
from scenarios.models import Fault, Run
from scenarios.ports import Event, UndoResult
from scenarios.runs import commands as run_commands
from scenarios.runs import leases, ledger, ledger_entries, lifecycle
from scenarios.runs.leases import Claim

LATE = 30.0
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: late}
spec:
  retry_interrupted: 1
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: exchange, path: /fault, method: POST}}
          undo: {http: {service: exchange, path: /fault, method: DELETE}}
"""
DO, UNDO = (Step("http", {"service": "exchange", "path": "/fault", "method": m}) for m in ("POST", "DELETE"))


class LateFault:
    """`at` moments are seconds after the first undo."""

    def __init__(self, late_seconds: float = LATE) -> None:
        self.run = run_commands.start_run(DOCUMENT, {}, origin="cli")
        claim = leases.claim_run(self.run.id, 1, worker="here:1")
        assert claim is not None
        self.claim: Claim = claim
        self.began = timezone.now()
        event = Event(EventKind.FAULT_INJECTING, self.began, "chaos", "break it")
        ledger.open_fault(claim, event, do=DO, undo=UNDO, timeout=5, late_seconds=late_seconds)

    def at(self, seconds: float) -> datetime:
        return self.began + timedelta(seconds=seconds)

    def fault(self) -> Fault:
        return Fault.objects.select_related("run").get()

    def undone(self, seconds: float, *, seen: bool = False, began: float | None = None) -> FaultState:
        (fault,) = ledger_entries.list_open_faults(self.claim)
        began_at = None if began is None else self.at(began)
        result = UndoResult(is_seen_gone=seen, began_at=began_at)
        event = Event(EventKind.FAULT_UNDONE, self.at(seconds), "chaos", "break it")
        return ledger.mark_undone(self.claim, fault, event, result)

    def undo_failed(self, seconds: float, reason: str = "refused") -> None:
        (fault,) = ledger_entries.list_open_faults(self.claim)
        event = Event(EventKind.FAULT_UNDO_FAILED, self.at(seconds), "chaos", "break it", {"reason": reason})
        ledger.mark_undo_failed(self.claim, fault, event)

    def finish(self) -> Run:
        """Ended, and claimed again, as by a watchdog."""
        verdict = Verdict(Outcome.ABORTED, "stopped", ledger_entries.read_rollback(self.run.id))
        run = lifecycle.finish_run(self.claim, verdict, timezone.now())
        claim = leases.claim_finished_run(run.id, worker="there:2")
        if claim is None:
            raise LeaseLost("somebody else holds the run")
        self.claim = claim
        return run

    def is_due(self, seconds: float) -> bool:
        return Fault.objects.due(self.at(seconds)).exists()

    def now(self) -> Any:
        """State of the fault and rollback of the run."""
        return self.fault().state, Run.objects.get().rollback
