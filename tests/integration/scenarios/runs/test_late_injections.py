"""A fault whose injection was never answered stays in the ledger until it cannot arrive any more."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Rollback
from scenarios.models import Delivery, Event, Fault, Hold, Run
from scenarios.ports import Event as PortEvent
from scenarios.runs import commands as run_commands
from scenarios.runs import faults as fault_commands
from scenarios.runs import leases, ledger, ledger_entries, lifecycle
from scenarios.supervision import retention
from scenarios.supervision.gauges import read_gauges
from tests.integration.scenarios.runs.late_faults import DOCUMENT, LATE, LateFault
from tests.integration.scenarios.runs.outside_rows import a_webhook, written

pytestmark = pytest.mark.django_db

UNVERIFIED = (FaultState.UNVERIFIED, Rollback.UNVERIFIED)
UNDONE = (FaultState.UNDONE, Rollback.CLEAN)
DIRTY = (FaultState.OUTSTANDING, Rollback.DIRTY)


@pytest.fixture
def late() -> LateFault:
    return LateFault()


def gauges() -> tuple[float, float]:
    found = {sample.name: sample.value for sample in read_gauges()}
    return found["scenario_outstanding_faults"], found["scenario_unverified_faults"]


def test_it_is_unverified_after_its_undo_and_closed_by_one_when_its_time_is_over(late: LateFault) -> None:
    assert late.undone(0) == FaultState.UNVERIFIED
    run = late.finish()
    assert (run.verdict, late.now()) == ("aborted, rollback unverified", UNVERIFIED)
    assert late.undone(LATE - 1) == FaultState.UNVERIFIED
    assert late.undone(LATE) == FaultState.UNDONE
    assert late.now() == UNDONE
    kinds = Event.objects.filter(kind__startswith="fault_").values_list("kind", flat=True)
    assert list(kinds) == ["fault_injecting", "fault_unverified", "fault_unverified", "fault_undone"]


def test_an_undo_that_began_before_its_time_was_over_does_not_close_it(late: LateFault) -> None:
    late.undone(0)
    late.finish()
    assert late.undone(LATE + 5, began=LATE - 1) == FaultState.UNVERIFIED
    assert late.is_due(LATE + 5)
    assert late.undone(LATE + 7, began=LATE + 6) == FaultState.UNDONE


def test_it_is_undone_again_soon_then_later_and_when_its_time_is_over(late: LateFault) -> None:
    late.undone(0)
    late.finish()
    seconds, tries = 0.0, []
    while late.fault().state == FaultState.UNVERIFIED:
        next_at = late.fault().next_try_at
        assert next_at is not None
        seconds = (next_at - late.began).total_seconds()
        assert late.is_due(seconds)
        assert not late.is_due(seconds - 0.5)
        tries.append(seconds)
        late.undone(seconds)
    assert tries == [2, 6, 14, 30]


def test_while_its_run_goes_on_the_worker_is_told_when_it_is_due_again(late: LateFault) -> None:
    def due(seconds: float) -> list[str] | None:
        found = ledger_entries.list_faults_due_again(late.claim, late.at(seconds))
        return found if found is None else [fault.action for fault in found]

    assert due(0) is None  # it has not been undone at all
    late.undone(0)
    assert (due(1), due(2)) == ([], ["break it"])
    late.undone(LATE)
    assert late.now()[0] == FaultState.UNDONE
    assert due(LATE + 60) is None


def test_one_that_was_seen_to_be_gone_is_watched_and_its_run_is_clean(late: LateFault) -> None:
    assert late.undone(0, seen=True) == FaultState.WATCHED
    late.finish()
    assert late.now() == (FaultState.WATCHED, Rollback.CLEAN)
    assert not Fault.objects.outstanding().exists()
    assert gauges() == (0, 0)
    assert Hold.objects.exists()
    assert late.is_due(LATE)
    late.undone(LATE, seen=True)
    assert late.now() == UNDONE


def test_an_undo_that_fails_after_its_time_makes_the_run_dirty_and_is_reported(late: LateFault) -> None:
    a_webhook(events=["fault.outstanding", "fault.resolved"])
    late.undone(0)
    late.finish()
    late.undo_failed(LATE, "the exchange answered 503")
    assert late.now() == DIRTY
    assert written() == ["fault.outstanding"]
    told = json.loads(Delivery.objects.get().payload)["data"]
    assert (told["fault"]["state"], told["run"]["rollback"]) == ("outstanding", "dirty")
    late.undone(LATE + 1)
    assert late.now() == UNDONE
    assert written() == ["fault.outstanding", "fault.resolved"]


def test_an_undo_that_fails_before_its_time_is_over_changes_nothing_yet(late: LateFault) -> None:
    a_webhook(events=["fault.outstanding", "fault.resolved"])
    late.undone(0)
    late.finish()
    late.undo_failed(2)
    assert late.now() == UNVERIFIED
    late.undone(LATE)
    assert (late.now(), written()) == (UNDONE, [])


def test_the_time_runs_from_the_first_undo_also_where_that_failed(late: LateFault) -> None:
    late.undo_failed(0)
    assert late.undone(LATE) == FaultState.UNDONE


def test_a_fault_that_cannot_arrive_late_is_closed_by_its_first_undo() -> None:
    assert LateFault(late_seconds=0.0).undone(0) == FaultState.UNDONE


def test_an_answered_fault_is_closed_by_its_first_undo(late: LateFault) -> None:
    (fault,) = ledger_entries.list_open_faults(late.claim)
    ledger.mark_active(
        late.claim, fault, PortEvent(EventKind.FAULT_INJECTED, late.at(0), "chaos", "break it")
    )
    assert late.undone(1) == FaultState.UNDONE


def test_its_service_is_held_until_it_cannot_arrive_any_more(late: LateFault) -> None:
    late.undone(0)
    late.finish()
    next_run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    assert leases.claim_run(next_run.id, 1, worker="here:1") is None
    next_run.refresh_from_db()
    assert "with an unanswered fault that may still arrive" in next_run.waiting_for
    late.undone(LATE)
    assert leases.claim_run(next_run.id, 1, worker="here:1") is not None


def test_it_counts_as_outstanding_and_not_as_one_whose_undo_failed(late: LateFault) -> None:
    late.undone(0)
    assert gauges() == (0, 0)  # its run still undoes
    late.finish()
    assert gauges() == (1, 1)
    assert late.fault().is_outstanding
    assert "unverified, may still arrive until " in late.fault().status
    late.undo_failed(LATE)
    assert gauges() == (1, 0)


def test_one_whose_undo_fails_is_outstanding_while_its_run_goes_on(late: LateFault) -> None:
    assert gauges() == (0, 0)
    late.undo_failed(0)
    assert gauges() == (1, 0)
    fault = late.fault()
    assert fault.is_outstanding
    assert fault.status == "outstanding, being retried"
    assert fault_commands.retry_undo(Fault.objects.all()) == 0  # its own worker does


def test_a_clock_that_was_set_back_does_not_keep_it_open(late: LateFault) -> None:
    late.undone(3600)
    late.finish()
    assert late.is_due(0)
    late.undone(0)
    assert not late.is_due(1)
    assert late.undone(LATE) == FaultState.UNDONE


def test_an_interrupted_run_is_not_begun_again_beside_it(late: LateFault) -> None:
    late.undone(0, seen=True)
    assert lifecycle.queue_run_again(late.claim, "its worker died", timezone.now()) is None


def test_it_keeps_its_run_from_being_pruned(late: LateFault) -> None:
    late.undone(0, seen=True)
    late.finish()
    later = timezone.now() + timedelta(days=1)
    assert retention.prune(later, at_most=10) == 0
    late.undone(LATE, seen=True)
    Run.objects.update(lease_until=None)
    assert retention.prune(later, at_most=10) == 1


def test_a_person_may_acknowledge_it(late: LateFault) -> None:
    late.undone(0)
    run = late.finish()
    leases.release(late.claim)
    assert fault_commands.acknowledge_fault(late.fault(), by="ann", reason="the target is gone")
    assert late.now() == (FaultState.ACKNOWLEDGED, Rollback.CLEAN)
    assert not Hold.objects.filter(run=run).exists()
