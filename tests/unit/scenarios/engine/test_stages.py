"""What ends a run, and when: every transition of the table, and several signals at one moment."""

import asyncio
import re
from typing import Any

import pytest

from scenarios.domain.errors import LeaseLost, StepFailed
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Phase, Plan
from scenarios.engine.engine import Engine
from scenarios.engine.stages import TRANSITIONS, Signal, Stage, Stages
from tests.fakes import InMemoryJournal, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import fault, make_engine

ACTIONS = fault("a", until="run"), fault("b", until="run")
PLAN = Plan("test", (Phase("chaos", hold=60, actions=ACTIONS),))


def read_table() -> dict[tuple[Stage, Signal], str]:
    lines = [line.strip() for line in (Stages.__doc__ or "").splitlines()]
    rules = [number for number, line in enumerate(lines) if line.startswith("=")]
    signals = [Signal(name) for name in re.split(" {2,}", lines[rules[0] + 1])[1:]]
    rows = [re.split(" {2,}", line) for line in lines[rules[1] + 1 : rules[2]]]
    return {
        (Stage[row[0]], signal): cell for row in rows for signal, cell in zip(signals, row[1:], strict=True)
    }


TABLE = read_table()


@pytest.mark.parametrize(("stage", "signal"), TABLE, ids=lambda value: str(value).replace(" ", "_"))
def test_a_transition_is_as_the_table_says(stage: Stage, signal: Signal) -> None:
    cell = TABLE[stage, signal]
    stages = Stages()
    stages.stage = stage
    if cell == ".":
        with pytest.raises(KeyError):
            stages.move(signal)
        return
    cancels = stages.move(signal)
    name = cell.rstrip("!")
    assert (stages.stage, cancels) == (stage if name == "stays" else Stage[name], cell.endswith("!"))


def test_the_table_has_every_stage_and_signal() -> None:
    assert set(TABLE) == {(stage, signal) for stage in Stage for signal in Signal}
    assert set(TRANSITIONS) == set(Stage)


def test_first_of_two_concurrent_ends_decides() -> None:
    stages = Stages()
    stages.move(Signal.BEGIN)
    assert stages.end(Outcome.FAILED, "first")
    assert not stages.end(Outcome.ABORTED, "second")
    assert stages.verdict(Rollback.CLEAN) == Verdict(Outcome.FAILED, "first")


def test_a_failure_is_the_outcome_only_where_nothing_ended_the_run() -> None:
    stages = Stages()
    stages.note_failure("one")
    stages.note_failure("two")
    assert stages.verdict(Rollback.CLEAN) == Verdict(Outcome.FAILED, "one")
    stages.end(Outcome.TIMED_OUT, "late")
    assert stages.verdict(Rollback.DIRTY) == Verdict(Outcome.TIMED_OUT, "late", Rollback.DIRTY)


def test_a_shutdown_after_another_end_leaves_the_verdict_and_hurries() -> None:
    stages = Stages()
    stages.move(Signal.BEGIN)
    stages.end(Outcome.ABORTED, "stopped by ann")
    assert not stages.is_shutting_down
    stages.end(Outcome.INTERRUPTED, "the worker was shut down")
    assert stages.is_shutting_down
    assert stages.verdict(Rollback.CLEAN).outcome is Outcome.ABORTED


class Target:
    """Whose undo of `b`, the first one, fails as long as `is_away`; the test acts while it is asked."""

    def __init__(self) -> None:
        self.journal, self.driver = InMemoryJournal(), ScriptedDriver()
        self.engine: Engine = make_engine(PLAN, self.driver, self.journal)
        self.driver.answers["mend b"] = self._answer
        self.asked = asyncio.Event()
        self.is_away = True

    async def _answer(self) -> dict[str, Any]:
        self.asked.set()
        if self.is_away:
            raise StepFailed("no answer")
        return {"status": 200}

    async def carry_out_until_undo(self) -> "asyncio.Task[Verdict]":
        running = asyncio.create_task(self.engine.carry_out())
        await self.asked.wait()
        return running


def test_an_end_during_undo_decides_the_outcome_and_the_undo_goes_on() -> None:
    async def stop_during_undo() -> Verdict:
        target = Target()
        running = await target.carry_out_until_undo()
        target.engine.end(Outcome.ABORTED, "stopped by ann")
        target.is_away = False
        return await running

    assert run_in_virtual_time(stop_during_undo()) == Verdict(Outcome.ABORTED, "stopped by ann")


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_abandoning_during_undo_asks_the_ledger_nothing_more(is_cut_off: bool) -> None:
    asked_late = []

    async def abandon_during_undo() -> Target:
        target = Target()
        running = await target.carry_out_until_undo()

        async def rollback() -> Rollback:
            asked_late.append("rollback")
            return Rollback.DIRTY

        target.journal.rollback = rollback  # type: ignore[method-assign]
        target.journal.lost, target.journal.unreachable = True, is_cut_off
        target.engine.abandon(is_cut_off=is_cut_off)
        target.is_away = False
        with pytest.raises(LeaseLost):
            await running
        return target

    target = run_in_virtual_time(abandon_during_undo())
    assert asked_late == []
    again = ["mend b", "mend a"] if is_cut_off else []
    assert target.driver.said == ["break a", "break b", "mend b", "mend a", *again]


def test_a_second_sigterm_leaves_what_cannot_be_undone_to_the_watchdog() -> None:
    async def be_told_twice() -> tuple[Verdict, Target]:
        target = Target()
        running = asyncio.create_task(target.engine.carry_out())
        await asyncio.sleep(1)
        target.engine.end(Outcome.INTERRUPTED, "told once")
        await target.asked.wait()
        await asyncio.sleep(0.1)
        target.engine.end(Outcome.INTERRUPTED, "told twice")
        return await running, target

    verdict, target = run_in_virtual_time(be_told_twice())
    assert verdict == Verdict(Outcome.INTERRUPTED, "told once", Rollback.DIRTY)
    assert target.driver.said.count("mend b") == 1
    assert target.journal.states == {1: FaultState.UNDONE, 2: FaultState.OUTSTANDING}
