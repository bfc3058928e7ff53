"""Claims, fences and the ledger, on a real database."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from metrics_app.backend import get_metrics
from scenarios.domain.errors import LeaseLost, LedgerUnreachable
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState, Verdict
from scenarios.domain.plan import Step
from scenarios.models import MAX_RETRY_DELAY, Fault, Run
from scenarios.models import Event as EventRow
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import faults as fault_commands
from scenarios.runs import leases, ledger, ledger_entries, lifecycle, recovery, stop_requests
from scenarios.runs.leases import Claim
from scenarios.supervision import watchdog
from scenarios.supervision.lease_watch import LeaseWatch
from scenarios.supervision.queue_duty import QueueDuty

pytestmark = pytest.mark.django_db

DOCUMENT = (Path(__file__).parents[4] / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
DO, UNDO = (
    Step("http", {"service": "exchange", "path": "/on"}),
    Step("http", {"service": "exchange", "path": "/off"}),
)


@pytest.fixture
def run() -> Run:
    return run_commands.start_run(DOCUMENT, {}, origin="cli")


def claim(run: Run) -> Claim:
    claimed = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claimed is not None
    return claimed


def open_fault(claimed: Claim) -> None:
    event = Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "slow")
    ledger.open_fault(claimed, event, do=DO, undo=UNDO, timeout=5)


def test_a_second_delivery_of_the_same_message_claims_nothing(run: Run) -> None:
    claim(run)
    assert leases.claim_run(run.id, run.attempt, worker="b:2") is None


def test_a_run_whose_lease_is_good_cannot_be_taken_over(run: Run) -> None:
    claimed = claim(run)
    run.refresh_from_db()
    assert recovery.undo_now(run) is None
    leases.renew_lease(claimed)
    assert leases.take_over_run(run, worker="b:2") is None


def test_a_process_that_lost_the_run_writes_nothing_more(run: Run) -> None:
    first = claim(run)
    leases.expire_leases("a:1")
    run.refresh_from_db()
    second = leases.take_over_run(run, worker="b:2")
    assert second is not None
    with pytest.raises(LeaseLost):
        leases.append_event(first, Event(EventKind.PHASE_STARTED, timezone.now()))
    with pytest.raises(LeaseLost):
        open_fault(first)
    with pytest.raises(LeaseLost):
        leases.renew_lease(first)
    assert not EventRow.objects.filter(run=run).exists()
    assert not Fault.objects.filter(run=run).exists()


def test_the_holder_of_a_run_that_was_deleted_learns_that_nobody_else_undoes_its_faults(
    run: Run,
) -> None:
    claimed = claim(run)
    Run.objects.all().delete()  # as where a backup from before the run was restored
    for write in (leases.renew_lease, stop_requests.find_stop_request, open_fault):
        with pytest.raises(LedgerUnreachable):
            write(claimed)


def test_two_watchdogs_at_once_take_a_run_over_once(run: Run) -> None:
    claim(run)
    leases.expire_leases("a:1")
    run.refresh_from_db()
    taken = [leases.take_over_run(run, worker=name) for name in ("b:2", "c:3")]
    assert [result is not None for result in taken] == [True, False]


def test_events_are_numbered_without_gap_or_repeat(run: Run) -> None:
    claimed = claim(run)
    for kind in (EventKind.RUN_STARTED, EventKind.PHASE_STARTED):
        leases.append_event(claimed, Event(kind, timezone.now()))
    open_fault(claimed)
    numbers = EventRow.objects.filter(run=run).order_by("sequence").values_list("sequence", flat=True)
    assert list(numbers) == [1, 2, 3]


def left_behind(run: Run) -> Run:
    """The run, ended with a fault that is still injected."""
    claimed = claim(run)
    open_fault(claimed)
    lifecycle.finish_run(claimed, Verdict(Outcome.FAILED, "no", Rollback.DIRTY), timezone.now())
    run.refresh_from_db()
    return run


def test_a_fault_whose_next_try_is_far_ahead_is_due_because_the_clock_was_set_back(run: Run) -> None:
    left_behind(run)
    soon, longest = timedelta(seconds=30), timedelta(seconds=MAX_RETRY_DELAY)
    Fault.objects.update(next_try_at=timezone.now() + soon)
    assert watchdog.list_runs_with_due_faults() == []
    Fault.objects.update(next_try_at=timezone.now() + longest + soon)
    assert watchdog.list_runs_with_due_faults() == [run]


def test_a_process_that_undoes_left_faults_is_dead_when_its_lease_stops_changing(run: Run) -> None:
    left_behind(run)
    assert leases.take_over_run(run, worker="b:2") is not None
    for hours in (-1, +1):  # by a clock that is ahead, or behind
        Run.objects.update(lease_until=timezone.now() + timedelta(hours=hours))
        assert watchdog.list_runs_with_due_faults() == []
        (seen,) = watchdog.list_held_runs()
        watch = LeaseWatch(15)
        assert watch.ran_out([seen], now=0.0) == []
        assert watch.ran_out([seen], now=15.0) == [seen]
    assert leases.take_over_run(seen, worker="c:3") is not None


def test_a_waiting_run_is_enqueued_again_even_if_the_clock_was_set_back(run: Run) -> None:
    Run.objects.update(enqueued_at=timezone.now() + timedelta(hours=1))
    QueueDuty().notify()
    run.refresh_from_db()
    assert run.enqueued_at is not None
    assert run.enqueued_at <= timezone.now()


def test_a_run_during_which_the_clock_was_set_back_took_no_negative_time(run: Run) -> None:
    run.claimed_at = timezone.now()
    run.finished_at = run.claimed_at - timedelta(hours=1)
    assert run.took == timedelta(0)


def test_a_fault_left_behind_is_outstanding_until_it_is_undone_and_the_run_is_clean_then(run: Run) -> None:
    claimed = claim(run)
    open_fault(claimed)
    lifecycle.finish_run(claimed, Verdict(Outcome.FAILED, "no", Rollback.DIRTY), timezone.now())
    assert Fault.objects.outstanding().count() == 1
    again = leases.claim_finished_run(run.id, worker="b:2")
    assert again is not None
    (fault,) = ledger_entries.list_faults_to_undo(again)
    assert fault.undo == UNDO
    ledger.mark_undone(again, fault, Event(EventKind.FAULT_UNDONE, timezone.now(), "chaos", "slow"))
    run.refresh_from_db()
    assert run.rollback == Rollback.CLEAN
    assert Fault.objects.get().state == FaultState.UNDONE


def test_a_failed_undo_is_due_again_later_each_time(run: Run) -> None:
    claimed = claim(run)
    open_fault(claimed)
    (fault,) = ledger_entries.list_faults_to_undo(claimed)
    now = timezone.now()
    for tries, seconds in ((1, 1.0), (2, 2.0), (3, 4.0)):
        event = Event(EventKind.FAULT_UNDO_FAILED, now, "chaos", "slow", {"reason": "gone"})
        ledger.mark_undo_failed(claimed, fault, event)
        row = Fault.objects.get()
        assert (row.undo_tries, row.next_try_at) == (tries, now + timedelta(seconds=seconds))


def test_the_tries_follow_somebody_who_has_asked_for_one(run: Run) -> None:
    claimed = claim(run)
    open_fault(claimed)
    (fault,) = ledger_entries.list_faults_to_undo(claimed)
    lifecycle.finish_run(claimed, Verdict(Outcome.FAILED, "no", Rollback.DIRTY), timezone.now())
    Fault.objects.update(undo_tries=20)
    assert fault_commands.retry_undo(Fault.objects.all()) == 1
    asked = Fault.objects.get().retry_requested_at
    assert asked is not None
    again = leases.claim_finished_run(run.id, worker="b:2")
    assert again is not None
    for waited, delay in ((0.5, 1.0), (5.0, 1.25), (60.0, 15.0), (600.0, 60.0), (-5.0, 1.0)):
        at = asked + timedelta(seconds=waited)
        event = Event(EventKind.FAULT_UNDO_FAILED, at, "chaos", "slow", {"reason": "gone"})
        ledger.mark_undo_failed(again, fault, event)
        assert Fault.objects.get().next_try_at == at + timedelta(seconds=delay)


def test_a_person_may_acknowledge_an_outstanding_fault_with_a_reason(run: Run) -> None:
    claimed = claim(run)
    open_fault(claimed)
    lifecycle.finish_run(claimed, Verdict(Outcome.FAILED, "no", Rollback.DIRTY), timezone.now())
    assert fault_commands.acknowledge_fault(Fault.objects.get(), by="ann", reason="the service is retired")
    run.refresh_from_db()
    assert run.rollback == Rollback.CLEAN
    assert Fault.objects.get().state == FaultState.ACKNOWLEDGED


def test_a_queued_run_that_is_stopped_ends_at_once_and_is_never_claimed(run: Run) -> None:
    assert run_commands.request_stop(run, by="ann")
    run.refresh_from_db()
    assert (run.state, run.outcome) == (RunState.FINISHED, Outcome.ABORTED)
    assert leases.claim_run(run.id, run.attempt, worker="a:1") is None


def test_a_running_run_sees_the_stop_request(run: Run) -> None:
    claimed = claim(run)
    assert run_commands.request_stop(run, by="ann")
    assert stop_requests.find_stop_request(claimed) == "ann"
    assert not run_commands.request_stop(run, by="bob")


def test_an_ended_run_gets_no_lease_from_a_renewal_that_comes_late(run: Run) -> None:
    claimed = claim(run)
    lifecycle.finish_run(claimed, Verdict(Outcome.PASSED, "yes", Rollback.CLEAN), timezone.now())
    leases.renew_lease(claimed)
    run.refresh_from_db()
    assert run.lease_until is None
    assert watchdog.list_held_runs() == []


def test_a_run_that_is_queued_again_gets_no_lease_from_a_renewal_that_comes_late(run: Run) -> None:
    claimed = claim(run)
    assert lifecycle.queue_run_again(claimed, "its worker died", timezone.now()) is not None
    leases.renew_lease(claimed)
    assert Run.objects.get().lease_until is None


def test_undoing_faults_of_an_ended_run_renews_its_lease_until_it_is_released(run: Run) -> None:
    left_behind(run)
    undoing = leases.claim_finished_run(run.id, worker="b:2")
    assert undoing is not None
    Run.objects.update(lease_until=timezone.now())
    before = Run.objects.get().lease_until
    leases.renew_lease(undoing)
    (held,) = watchdog.list_held_runs()
    assert before is not None
    assert held.lease_until is not None
    assert held.lease_until > before
    leases.release(undoing)
    leases.renew_lease(undoing)
    assert watchdog.list_held_runs() == []


def test_a_held_run_stores_the_length_of_its_lease(run: Run, settings: Settings) -> None:
    settings.LEASE_SECONDS = 60
    claimed = claim(run)
    (held,) = watchdog.list_held_runs()
    assert held.lease_seconds == 60
    watch = LeaseWatch(15)
    watch.ran_out([held], now=0.0)
    assert watch.ran_out([held], now=59.0) == []
    settings.LEASE_SECONDS = 30  # as where an older version claimed it, and a newer one goes on
    leases.renew_lease(claimed)
    assert watchdog.list_held_runs()[0].lease_seconds == 30


def taken_over(run: Run) -> Run:
    """The run as a watchdog leaves it that has taken it over and broke before it could end it."""
    run.refresh_from_db()
    assert leases.take_over_run(run, worker="b:2") is not None
    leases.expire_leases("b:2")
    run.refresh_from_db()
    return run


def count_takeovers(run: Run) -> float:
    """As exposed, which an alert reads."""
    exposed = get_metrics().get_http_handler()("").decode()
    pattern = rf'^scenario_takeovers_total\{{[^}}]*scenario="{run.scenario_name}"[^}}]*\}} (\S+)$'
    return sum(map(float, re.findall(pattern, exposed, re.MULTILINE)))


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_taken_over_again_and_again_ends_errored_and_its_faults_are_outstanding(
    run: Run,
) -> None:
    open_fault(claim(run))
    before = count_takeovers(run)
    for _time in range(3):
        taken_over(run)
    assert Fault.objects.outstanding().count() == 0
    recovery.undo_now(run)
    assert count_takeovers(run) - before == 4
    run.refresh_from_db()
    assert (run.state, run.outcome, run.rollback) == (RunState.FINISHED, Outcome.ERRORED, Rollback.DIRTY)
    fault = Fault.objects.outstanding().get()
    assert fault.state == FaultState.OUTSTANDING
    assert "taken over 3 times" in fault.reason
    assert watchdog.list_runs_with_due_faults() == [run]


@pytest.mark.django_db(transaction=True)
def test_each_attempt_of_a_run_may_be_taken_over_as_often(run: Run) -> None:
    for _attempt in range(5):
        claimed = claim(run)
        taken_over(run)
        claimed = Claim(run.id, Run.objects.get().fence)
        assert lifecycle.queue_run_again(claimed, "its worker died", timezone.now()) is not None
        run.refresh_from_db()
    claim(run)
    assert Run.objects.get().takeovers == 0


def test_a_run_that_an_older_version_has_claimed_is_counted_from_its_first_take_over(run: Run) -> None:
    claim(run)
    Run.objects.update(takeovers=None, lease_seconds=None)
    leases.expire_leases("a:1")
    assert taken_over(run).takeovers == 1
