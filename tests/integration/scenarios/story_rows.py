"""Runs as rows, without an engine: as long as a test wants them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Step
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Event as EventRow
from scenarios.models import Run
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import leases, ledger, ledger_entries, lifecycle
from scenarios.runs.leases import Claim

DOCUMENT = (Path(__file__).parents[3] / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
NOTICED, SLOWED = "the risk monitor notices the slowness", "slow the exchange down"


class Telling:
    """Tells a run's story event by event, as its worker would."""

    def __init__(self) -> None:
        stored = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
        self.run = run_commands.start_run(DOCUMENT, {}, origin="cli", scenario=stored)
        claim = leases.claim_run(self.run.id, 1, worker="here:1")
        assert claim is not None
        self.claim: Claim = claim
        # Its worker counts as alive until the test has ended, however busy the machine is.
        lasts_until = timezone.now() + timedelta(hours=1)
        Run.objects.filter(pk=self.run.pk).update(lease_until=lasts_until)

    def tell(self, kind: str, subject: str = "", *, phase: str = "chaos", **detail: Any) -> None:
        leases.append_event(self.claim, Event(EventKind(kind), timezone.now(), phase, subject, detail))

    def inject(self, service: str = "exchange") -> None:
        undo = Step("http", {"service": service, "method": "DELETE", "path": "/chaos/latency"})
        event = Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", SLOWED)
        fault = ledger.open_fault(self.claim, event, do=undo, undo=undo, timeout=5)
        ledger.mark_active(
            self.claim, fault, Event(EventKind.FAULT_INJECTED, timezone.now(), "chaos", SLOWED)
        )

    def begin(self, service: str = "exchange") -> None:
        """A fault, and a validation that has come true after it."""
        self.tell("phase_started")
        self.tell("action_started", SLOWED)
        self.inject(service)
        self.tell("action_finished", SLOWED)
        self.tell("validation_started", NOTICED)
        self.tell("validation_passed", NOTICED, attempts=3, time_to_pass=0.8, seen={"status": 200})

    def finish(self, rollback: Rollback = Rollback.CLEAN) -> Run:
        if rollback is Rollback.CLEAN:
            for fault in ledger_entries.list_faults_to_undo(self.claim):
                undone = Event(EventKind.FAULT_UNDONE, timezone.now(), "chaos", SLOWED)
                ledger.mark_undone(self.claim, fault, undone)
        else:
            for fault in ledger_entries.list_faults_to_undo(self.claim):
                failed = {"reason": "the exchange answered 503"}
                event = Event(EventKind.FAULT_UNDO_FAILED, timezone.now(), "chaos", SLOWED, failed)
                ledger.mark_undo_failed(self.claim, fault, event)
        verdict = Verdict(Outcome.PASSED, "every validation held", rollback)
        return lifecycle.finish_run(self.claim, verdict, timezone.now())

    def flicker(self, times: int) -> None:
        """A validation that changes its mind so often, in bulk."""
        self.run.refresh_from_db()
        begun = timezone.now() - timedelta(seconds=times)
        kinds = ("validation_holding", "validation_not_holding")
        EventRow.objects.bulk_create(
            EventRow(
                run=self.run,
                sequence=self.run.last_event + number,
                kind=kinds[number % 2],
                at=begun + timedelta(seconds=number),
                phase="chaos",
                subject=NOTICED,
                detail={"seen": {"status": 200, "body": "x" * 500}},
            )
            for number in range(1, times + 1)
        )
        Run.objects.filter(pk=self.run.pk).update(last_event=self.run.last_event + times)
