"""The benchmark fills and measures what it says. Its goals hold for a machine that does nothing else."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from benchmarks.goals import Goals
from benchmarks.many_rows import measure
from benchmarks.rows import deletion, fill
from benchmarks.rows.fill import EVENTS_EACH, FAULTS_EACH, SERVICES_EACH
from scenarios.models import DeletionRequest, Event, Fault, NamedService, Run, Scenario
from scenarios.runs import deletion_requests
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.supervision import watchdog

pytestmark = pytest.mark.django_db(transaction=True)
SCENARIOS, RUNS, BATCHES = 40, 100, 2


def test_every_figure_is_printed_with_its_goal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Below, with watchdogs that see the database of a test.
    monkeypatch.setattr(deletion, "measure_deletions", lambda _goals: None)
    sizes = {"scenarios": SCENARIOS, "runs": RUNS}
    measure(Goals(), **sizes, times=2, batches=BATCHES, only_deletions=False)
    printed = capsys.readouterr().out
    judged = [line for line in printed.splitlines() if "≤" in line]
    assert judged
    assert all(line.endswith(("REACHED", "MISSED")) for line in judged)
    # What the retention has left. The run that the others are copies of has one event and one fault.
    kept = RUNS - BATCHES * watchdog.RUNS_PRUNED_AT_ONCE
    assert Run.objects.count() == kept
    assert Fault.objects.count() == (kept - 1) * FAULTS_EACH + 1
    assert Event.objects.count() == (kept - 1) * EVENTS_EACH + 1
    assert Scenario.objects.count() == SCENARIOS
    assert NamedService.objects.count() == SCENARIOS * SERVICES_EACH


class WatchdogInAThread:
    """Carries out deletions in this process, which sees the database of a test.

    While a deletion has two of them, they stop when less than half is left, so that the benchmark finds them
    there on any machine; the third one goes on.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._goes_on = pid % 3 == 0
        self._is_killed = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def kill(self) -> None:
        self._is_killed.set()
        self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._is_killed.wait(0.02):
                record_heartbeat("watchdog", f"a-test:{self.pid}")
                for key in deletion_requests.list_requests():
                    pace = deletion_requests.Pace()
                    while self._may_go_on() and deletion_requests.carry_on(key, pace):
                        pass
        finally:
            connection.close()

    def _may_go_on(self) -> bool:
        rows = DeletionRequest.objects.values_list("left", "total")
        return self._goes_on or all(left >= total / 2 for left, total in rows)


def test_deletions_are_measured_although_a_watchdog_is_killed_halfway(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion_requests, "MAX_AT_ONCE", 2)
    for name in ("FIRST_ROWS", "MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(deletion_requests, name, 2)
    fill.fill_with_scenarios(4)
    fill.fill_with_runs(40)  # of which the first scenario has each fourth, and a user each third
    pids = itertools.count(1)

    @contextmanager
    def start() -> Iterator[WatchdogInAThread]:
        watchdog = WatchdogInAThread(next(pids))
        try:
            yield watchdog
        finally:
            watchdog.kill()

    deletion.measure_deletions(Goals(), start)
    printed = capsys.readouterr().out
    for what, total in (("scenario", 9), ("user", 13)):
        assert f"deleting a {what} with {total} runs: the request" in printed
    waits = [line for line in printed.splitlines() if "another writer waits" in line]
    assert len(waits) == 2
    assert all(line.endswith(("REACHED", "MISSED")) for line in waits)
    assert next(pids) == 7  # three for each


def test_a_missed_goal_is_said_and_ends_the_benchmark_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    goals = Goals()
    goals.at_most("left", 0, 0)
    assert goals.status == 0
    goals.at_least("per second", 299.0, 300.0)
    assert goals.status == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith("REACHED")
    assert lines[-1].endswith("MISSED")
