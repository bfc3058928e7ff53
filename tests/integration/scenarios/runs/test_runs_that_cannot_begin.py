"""A claimed run that has not begun goes back to the queue, whatever kept its worker from beginning."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, RunState
from scenarios.models import Hold, Run
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, leases, recovery, task_queue, unbegun
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.supervision import readiness
from tests.integration.scenarios.planned_rows import DOCUMENT, exchange

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run() -> Run:
    exchange()
    return run_commands.start_run(DOCUMENT, {}, origin="cli")


@pytest.fixture(params=[OperationalError("the server closed the connection"), MemoryError(), KeyError("odd")])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """What the worker meets between its claim and the run's first event."""

    def meet(_run: Run) -> Any:
        raise request.param

    monkeypatch.setattr(executor, "build_run_plan", meet)
    found: Exception = request.param
    return found


def carry_out(run: Run) -> None:
    run.refresh_from_db()
    executor.carry_out(str(run.id), run.attempt)
    run.refresh_from_db()


def let_time_pass(run: Run) -> None:
    Run.objects.filter(id=run.id).update(begin_after=timezone.now() - timedelta(seconds=1))


def test_a_run_whose_worker_meets_an_exception_first_is_queued_again(run: Run, broken: Exception) -> None:
    carry_out(run)
    assert (run.state, run.attempt, run.lease_until) == (RunState.QUEUED, 1, None)
    assert type(broken).__name__ in run.waiting_for
    assert not Hold.objects.exists()
    assert not run.events.exists()


def test_it_is_tried_later_each_time_and_keeps_no_other_run_waiting(run: Run, broken: Exception) -> None:
    delays = []
    for _ in range(3):
        carry_out(run)
        assert run.begin_after is not None
        delays.append(run.begin_after - timezone.now())
        let_time_pass(run)
    assert delays == sorted(delays)
    carry_out(run)
    other = run_commands.start_run(DOCUMENT, {}, origin="cli")
    assert [found.id for found in task_queue.find_runs_to_enqueue(timezone.now(), timedelta(0))] == [other.id]


def test_readiness_reports_a_worker_that_cannot_begin_runs(run: Run, broken: Exception) -> None:
    record_heartbeat("worker", "a:1")
    carry_out(run)
    assert "could not begin it" in readiness.find_problem(readiness.worker)


def test_it_is_given_up_after_many_tries(run: Run, broken: Exception) -> None:
    for _ in range(unbegun.MAX_TRIES):
        let_time_pass(run)
        try:
            carry_out(run)
        except type(broken):
            break
    run.refresh_from_db()
    assert run.state == RunState.RUNNING  # its lease runs out, and the watchdog ends it
    leases.expire_leases(run.worker)
    ended = recovery.undo_now(Run.objects.get(id=run.id))
    assert ended is not None
    assert (ended.state, ended.outcome) == (RunState.FINISHED, Outcome.INTERRUPTED)


def test_a_run_whose_worker_was_killed_before_it_began_is_queued_again(run: Run) -> None:
    assert leases.claim_run(run.id, 1, worker="dead:1") is not None
    leases.expire_leases("dead:1")
    queued = recovery.undo_now(Run.objects.get(id=run.id))
    assert queued is not None
    assert (queued.state, queued.attempt) == (RunState.QUEUED, 1)
    assert "dead:1 died" in queued.waiting_for


def test_an_unbegun_run_with_a_stop_request_is_not_queued_again(run: Run) -> None:
    claim = leases.claim_run(run.id, 1, worker="dead:1")
    assert claim is not None
    run_commands.request_stop(run, by="ann")
    assert unbegun.give_back(claim, "a reason") is None


def test_a_process_that_lost_the_run_does_not_give_it_back(run: Run) -> None:
    claim = leases.claim_run(run.id, 1, worker="slow:1")
    assert claim is not None
    leases.expire_leases("slow:1")
    assert leases.take_over_run(Run.objects.get(id=run.id), worker="b:2") is not None
    assert unbegun.give_back(claim, "a reason") is None
