"""Old runs are deleted in batches; one that may have left something injected never is."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Step
from scenarios.models import Event as EventRow
from scenarios.models import Fault, Run
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import leases, ledger, lifecycle
from scenarios.supervision import retention

pytestmark = pytest.mark.django_db

DOCUMENT = (Path(__file__).parents[4] / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
NOW = timezone.now()


def ended(days_ago: float, *, dirty: bool = False) -> Run:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    step = Step("http", {"service": "exchange", "path": "/x"})
    event = Event(EventKind.FAULT_INJECTING, NOW, "chaos", "slow")
    fault = ledger.open_fault(claim, event, do=step, undo=step, timeout=5)
    if not dirty:
        ledger.mark_undone(claim, fault, Event(EventKind.FAULT_UNDONE, NOW, "chaos", "slow"))
    rollback = Rollback.DIRTY if dirty else Rollback.CLEAN
    lifecycle.finish_run(claim, Verdict(Outcome.PASSED, "", rollback), NOW - timedelta(days=days_ago))
    return run


def test_runs_that_ended_earlier_are_deleted_with_their_events_and_faults_the_oldest_first() -> None:
    oldest, old, young = ended(100), ended(91), ended(89)
    before = NOW - timedelta(days=90)
    assert retention.prune(before, at_most=1) == 1
    assert not Run.objects.filter(id=oldest.id).exists()
    assert retention.prune(before, at_most=10) == 1
    assert list(Run.objects.all()) == [young]
    assert not EventRow.objects.filter(run=old.id).exists()
    assert not Fault.objects.filter(run=old.id).exists()


def test_a_run_with_an_outstanding_fault_is_kept_however_old_it_is() -> None:
    run = ended(1000, dirty=True)
    assert retention.prune(NOW, at_most=10) == 0
    assert Run.objects.get() == run


def test_a_run_that_has_not_ended_is_kept() -> None:
    run_commands.start_run(DOCUMENT, {}, origin="cli")
    assert retention.prune(NOW + timedelta(days=1), at_most=10) == 0
