"""The benchmark fills and measures what it says. Its goals hold for a machine that does nothing else."""

import pytest

from benchmarks.goals import Goals
from benchmarks.many_rows import measure
from benchmarks.rows import deletion
from benchmarks.rows.fill import EVENTS_EACH, FAULTS_EACH, SERVICES_EACH
from scenarios.models import Event, Fault, NamedService, Run, Scenario
from scenarios.supervision import watchdog

SCENARIOS, RUNS, BATCHES = 40, 100, 2


@pytest.mark.django_db(transaction=True)
def test_every_figure_is_printed_with_its_goal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # By watchdogs, which are processes and do not see the database of a test.
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


def test_a_missed_goal_is_said_and_ends_the_benchmark_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    goals = Goals()
    goals.at_most("left", 0, 0)
    assert goals.status == 0
    goals.at_least("per second", 299.0, 300.0)
    assert goals.status == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith("REACHED")
    assert lines[-1].endswith("MISSED")
