"""Whatever is lost while a run goes on (lease, ledger, patience), no fault stays injected."""

import asyncio
from typing import Any

import pytest

from scenarios.domain.errors import LeaseLost, StepFailed
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Phase, Plan, Validation
from tests.fakes import InMemoryJournal, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import HEALTHY, carry_out, fault, make_engine, say


def test_a_process_without_its_lease_injects_nothing_more() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    journal.lost = True
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == []


def test_a_lease_lost_while_injecting_is_followed_by_the_undo() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()

    async def lose() -> dict[str, Any]:
        journal.lost = True
        return {"status": 200}

    driver.answers["break a"] = lose
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a"]


def test_a_lease_lost_while_an_injection_is_cut_off_is_followed_by_the_undo() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    driver.answers["break a"] = lambda: asyncio.sleep(600)
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)

    async def lose_the_lease() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(10)
        journal.lost = True
        engine.abandon()
        return await running

    with pytest.raises(LeaseLost):
        run_in_virtual_time(lose_the_lease())
    assert driver.said == ["break a", "mend a"]


def test_a_lease_lost_while_an_injection_fails_is_followed_by_the_undo() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()

    async def lose() -> dict[str, Any]:
        journal.lost = True
        raise StepFailed("no answer within 30s")

    driver.answers["break a"] = lose
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a"]


def test_a_process_woken_after_its_lease_injects_nothing_more() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    journal.is_held = lambda: False  # type: ignore[method-assign] # as after a SIGSTOP that lasted longer
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == []
    assert journal.states == {1: FaultState.INJECTING}


def test_faults_are_undone_in_reverse_order_without_a_ledger_that_cannot_be_reached() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    actions = fault("a", until="run"), fault("b", until="run")
    engine = make_engine(Plan("test", (Phase("chaos", hold=600, actions=actions),)), driver, journal)

    async def lose_the_database() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(60)
        journal.unreachable = True
        engine.abandon(is_cut_off=True)
        return await running

    with pytest.raises(LeaseLost):
        run_in_virtual_time(lose_the_database())
    assert driver.said == ["break a", "break b", "mend b", "mend a"]
    assert set(journal.states.values()) == {FaultState.ACTIVE}


def test_a_ledger_lost_during_the_rollback_leaves_no_fault_injected() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()

    async def lose() -> dict[str, Any]:
        journal.unreachable = True
        return {"status": 200}

    driver.answers["mend a"] = lose
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a", "mend a"]


def test_a_second_signal_while_the_rollback_begins_leaves_no_fault_injected() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = make_engine(Plan("test", (Phase("chaos", hold=60, actions=(fault("a"),)),)), driver, journal)
    remaining = journal.remaining

    async def slow_remaining() -> Any:
        engine.end(Outcome.INTERRUPTED, "told twice")  # Ctrl-C, and the supervisor's SIGTERM after it
        await asyncio.sleep(0.01)
        return await remaining()

    journal.remaining = slow_remaining  # type: ignore[method-assign]

    async def told_twice() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(1)
        engine.end(Outcome.INTERRUPTED, "told once")
        return await running

    verdict = run_in_virtual_time(told_twice())
    assert driver.said == ["break a", "mend a"]
    assert verdict == Verdict(Outcome.INTERRUPTED, "told once", Rollback.CLEAN)


@pytest.mark.parametrize("at_fault", ["break a", "look", "mend b"])
def test_a_driver_that_cancels_itself_is_broken_and_everything_else_is_undone(at_fault: str) -> None:
    async def cancels() -> Any:
        raise asyncio.CancelledError

    check = Validation("healthy", say("look"), HEALTHY)
    verdict, _journal, driver = carry_out(
        Phase("chaos", actions=(fault("a"), fault("b")), validations=(check,)), answers={at_fault: cancels}
    )
    assert verdict.outcome is Outcome.ERRORED
    assert "mend a" in driver.said


def test_a_ledger_that_fails_unexpectedly_leaves_no_fault_injected() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = make_engine(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)

    async def broken() -> Any:
        raise ValueError("cannot execute UPDATE in a read-only transaction")

    journal.remaining = broken  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="read-only"):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a"]
