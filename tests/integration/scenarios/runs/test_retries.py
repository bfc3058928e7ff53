"""Interrupted runs are queued again, as often as the scenario says, once nothing is left injected."""

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone

from scenarios.domain.errors import LeaseLost
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.domain.plan import Step
from scenarios.models import Fault, Heartbeat, Run, Schedule
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, leases, ledger, recovery
from scenarios.runs.leases import Claim
from scenarios.supervision.watchdog import Watchdog

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: interrupted}
spec:
  retry_interrupted: 1
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {wait: {duration: 1ms}}
          undo: {wait: {duration: 1ms}}
"""
WAIT, IMPOSSIBLE = Step("wait", {"duration": "1ms"}), Step("wait", {"duration": "no duration"})


@pytest.fixture
def run() -> Run:
    return run_commands.start_run(DOCUMENT, {}, origin="cli")


def injected_by_a_worker_that_dies(run: Run, undo: Step = WAIT) -> Claim:
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    event = Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "break it")
    ledger.open_fault(claim, event, do=WAIT, undo=undo, timeout=5)
    leases.expire_leases("a:1")
    Run.objects.update(lease_seconds=0)  # a watchdog has seen enough of it at its first look
    run.refresh_from_db()
    return claim


def test_an_interrupted_run_is_queued_as_its_next_attempt_after_its_faults_are_undone(run: Run) -> None:
    injected_by_a_worker_that_dies(run)
    recovery.undo_now(run)
    run.refresh_from_db()
    assert (run.state, run.attempt, run.outcome, run.enqueued_at) == (RunState.QUEUED, 2, "", None)
    assert Fault.objects.get().state == FaultState.UNDONE
    kinds = list(run.events.values_list("kind", flat=True))
    assert kinds.index("fault_undone") < kinds.index("run_queued_again")


def test_the_next_attempt_is_carried_out_and_the_message_of_the_first_finds_nothing_to_claim(
    run: Run,
) -> None:
    injected_by_a_worker_that_dies(run)
    recovery.undo_now(run)
    assert executor.carry_out(str(run.id), 1) is None
    ended = executor.carry_out(str(run.id), 2)
    assert ended is not None
    assert (ended.outcome, ended.rollback) == (Outcome.PASSED, Rollback.CLEAN)


def test_the_worker_of_the_first_attempt_wakes_up_and_writes_nothing_into_the_second(run: Run) -> None:
    first = injected_by_a_worker_that_dies(run)
    recovery.undo_now(run)
    assert leases.claim_run(run.id, 2, worker="b:2") is not None
    with pytest.raises(LeaseLost):
        leases.append_event(first, Event(EventKind.PHASE_FINISHED, timezone.now()))


def test_a_run_that_was_interrupted_once_too_often_ends_interrupted(run: Run) -> None:
    for _attempt in (1, 2):
        injected_by_a_worker_that_dies(run)
        recovery.undo_now(run)
        run.refresh_from_db()
    assert (run.state, run.outcome, run.attempt) == (RunState.FINISHED, Outcome.INTERRUPTED, 2)


def test_a_run_with_an_open_fault_is_not_queued_again(run: Run) -> None:
    injected_by_a_worker_that_dies(run, undo=IMPOSSIBLE)
    recovery.undo_now(run)
    run.refresh_from_db()
    assert (run.outcome, run.rollback, run.attempt) == (Outcome.INTERRUPTED, Rollback.DIRTY, 1)


def test_a_run_with_a_stop_request_is_not_queued_again(run: Run) -> None:
    injected_by_a_worker_that_dies(run)
    run_commands.request_stop(run, by="ann")
    run.refresh_from_db()
    recovery.undo_now(run)
    run.refresh_from_db()
    assert (run.state, run.outcome) == (RunState.FINISHED, Outcome.INTERRUPTED)


def test_a_stop_requested_during_a_takeover_is_not_forgotten(run: Run) -> None:
    injected_by_a_worker_that_dies(run)
    run_commands.request_stop(Run.objects.get(id=run.id), by="ann")
    recovery.undo_now(run)  # as it was seen before somebody wanted it stopped
    run.refresh_from_db()
    assert (run.state, run.outcome) == (RunState.FINISHED, Outcome.INTERRUPTED)


def test_the_watchdog_enqueues_the_next_attempt(run: Run) -> None:
    injected_by_a_worker_that_dies(run)

    async def two_looks() -> None:
        watchdog = Watchdog()
        await watchdog.look()
        await watchdog.settle()
        await watchdog.look()

    asyncio.run(two_looks())
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.QUEUED, 2)
    assert run.enqueued_at is not None


def test_a_schedule_that_fails_unexpectedly_keeps_no_other_duty_waiting(run: Run) -> None:
    injected_by_a_worker_that_dies(run)
    past = timezone.now() - timedelta(minutes=1)
    Schedule.objects.create(name="odd", scenario_name="no", cron="* * * * *", window_days=[{}], next_at=past)

    async def one_look() -> None:
        watchdog = Watchdog()
        await watchdog.look()
        await watchdog.settle()

    asyncio.run(one_look())
    assert Heartbeat.objects.filter(name="watchdog").exists()
    assert Fault.objects.get().state == FaultState.UNDONE
