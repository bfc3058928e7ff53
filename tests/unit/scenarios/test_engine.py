"""The engine, by the fake clock: hours pass in milliseconds."""

import asyncio
from typing import Any

import pytest

from scenarios.domain.errors import LeaseLost, StepFailed, StepNotSent
from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Step, Validation
from scenarios.engine import Engine
from tests.fakes import FakeClock, InMemoryJournal, NoServices, ScriptedDriver, run_in_virtual_time

HEALTHY = Expectations({"status": 200})


def say(word: str) -> Step:
    return Step("target", {"say": word})


def fault(name: str, **more: Any) -> Action:
    return Action(name, do=say(f"break {name}"), undo=say(f"mend {name}"), **more)


def engine_of(plan: Plan, driver: ScriptedDriver, journal: InMemoryJournal) -> Engine:
    clock = FakeClock()
    return Engine(
        plan,
        drivers={"target": driver},
        surroundings=NoServices(),
        clock=clock,
        journal=journal,
        ledger=journal,
    )


def carry_out(
    *phases: Phase, answers: dict[str, Any] | None = None, **plan: Any
) -> tuple[Verdict, InMemoryJournal, ScriptedDriver]:
    journal, driver = InMemoryJournal(), ScriptedDriver(answers=answers or {})
    engine = engine_of(Plan("test", phases, **plan), driver, journal)
    return run_in_virtual_time(engine.carry_out()), journal, driver


def test_a_fault_is_in_the_ledger_before_it_is_injected_and_undone_when_its_phase_ends() -> None:
    verdict, journal, driver = carry_out(Phase("chaos", hold=10, actions=(fault("a"),)), Phase("after"))
    assert verdict.outcome is Outcome.PASSED
    assert driver.said == ["break a", "mend a"]
    story = journal.story()
    assert story.index("fault_injecting a") < story.index("fault_injected a") < story.index("fault_undone a")
    assert story.index("fault_undone a") < story.index("phase_started after")
    assert journal.moment("fault_undone", "a") == 10


def test_faults_until_run_are_undone_at_its_end_in_reverse_order() -> None:
    verdict, _journal, driver = carry_out(
        Phase("one", actions=(fault("a", until="run"), fault("b", until="run"))), Phase("two", hold=5)
    )
    assert verdict.rollback is Rollback.CLEAN
    assert driver.said == ["break a", "break b", "mend b", "mend a"]


def test_a_failed_validation_skips_later_phases_and_undoes_everything() -> None:
    check = Validation("healthy", say("look"), HEALTHY)
    verdict, journal, driver = carry_out(
        Phase("chaos", hold=60, actions=(fault("a"),), validations=(check,)),
        Phase("later"),
        answers={"look": {"status": 503}},
    )
    assert verdict.outcome is Outcome.FAILED
    assert "healthy" in verdict.reason
    assert driver.said[-1] == "mend a"
    assert "phase_started later" not in journal.story()


def test_with_continue_later_phases_run_and_the_verdict_is_failed() -> None:
    check = Validation("healthy", say("look"), HEALTHY)
    phases = Phase("one", validations=(check,), on_failure="continue"), Phase("two")
    verdict, journal, _driver = carry_out(*phases, answers={"look": {"status": 503}})
    assert verdict.outcome is Outcome.FAILED
    assert "phase_finished two" in journal.story()


def test_within_polls_until_it_holds_and_tells_when_it_began_to() -> None:
    check = Validation("back", say("look"), HEALTHY, within=30, hold_for=3, every=1)
    bad, good = {"status": 503}, {"status": 200}
    verdict, journal, _driver = carry_out(
        Phase("recovery", validations=(check,)), answers={"look": [bad, bad, good, bad, good]}
    )
    assert verdict.outcome is Outcome.PASSED
    passed = next(event for event in journal.events if event.kind == "validation_passed")
    assert passed.detail["time_to_pass"] == 4
    assert journal.moment("validation_passed") == 7


def test_within_fails_when_the_time_is_up_and_says_what_was_seen_last() -> None:
    check = Validation("back", say("look"), HEALTHY, within=5)
    verdict, journal, _driver = carry_out(
        Phase("recovery", validations=(check,)), answers={"look": StepFailed("connection refused")}
    )
    assert verdict.outcome is Outcome.FAILED
    assert "connection refused" in verdict.reason
    assert journal.moment("validation_failed") == 5


def test_throughout_fails_at_the_first_miss() -> None:
    check = Validation("steady", say("look"), HEALTHY, throughout=True)
    good = {"status": 200}
    verdict, journal, _driver = carry_out(
        Phase("chaos", hold=60, validations=(check,)), answers={"look": [good, good, good, {"status": 500}]}
    )
    assert verdict.outcome is Outcome.FAILED
    assert journal.moment("validation_failed") == 3


def test_a_guard_trips_after_more_failures_in_a_row_than_it_tolerates() -> None:
    guard = Guard("stays up", say("look"), HEALTHY, tolerate=2)
    verdict, _journal, driver = carry_out(
        Phase("chaos", hold=60, actions=(fault("a"),)), guards=(guard,), answers={"look": {"status": 500}}
    )
    assert verdict.outcome is Outcome.ABORTED
    assert driver.said.count("look") == 3
    assert driver.said[-1] == "mend a"


def test_the_timeout_ends_the_run_and_undoes_its_faults() -> None:
    verdict, journal, _driver = carry_out(Phase("chaos", hold=600, actions=(fault("a"),)), timeout=60)
    assert verdict.outcome is Outcome.TIMED_OUT
    assert verdict.rollback is Rollback.CLEAN
    assert journal.moment("fault_undone") == 60


POLLED = Validation("back", say("look"), HEALTHY, within=600)
STOPPED_IN = {
    "a hold": (Phase("chaos", hold=600, actions=(fault("a"),)), {}),
    "polling": (Phase("chaos", actions=(fault("a"),), validations=(POLLED,)), {"look": {"status": 503}}),
    "a call that hangs": (
        Phase("chaos", actions=(fault("a"),), validations=(POLLED,)),
        {"look": lambda: asyncio.sleep(600)},
    ),
}


@pytest.mark.parametrize(("phase", "answers"), STOPPED_IN.values(), ids=STOPPED_IN)
def test_a_stop_cuts_through_whatever_the_run_is_at_and_the_reason_says_who_it_was(
    phase: Phase, answers: dict[str, Any]
) -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver(answers=answers)
    engine = engine_of(Plan("test", (phase, Phase("later"))), driver, journal)

    async def stop() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(7)
        engine.end(Outcome.ABORTED, "stopped by ann")
        return await running

    verdict = run_in_virtual_time(stop())
    assert verdict == Verdict(Outcome.ABORTED, "stopped by ann", Rollback.CLEAN)
    assert journal.moment("fault_undone") == 7
    assert "phase_started later" not in journal.story()


def test_an_action_that_fails_ends_the_run_errored_and_its_fault_is_undone_all_the_same() -> None:
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=(fault("a"), fault("b"))), answers={"break a": StepFailed("status 500")}
    )
    assert verdict.outcome is Outcome.ERRORED
    assert driver.said == ["break a", "mend a"]
    assert journal.states[1] is FaultState.UNDONE


def test_a_fault_whose_injection_was_never_sent_needs_no_undo() -> None:
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=(fault("a"),)), answers={"break a": StepNotSent("connection refused")}
    )
    assert verdict.outcome is Outcome.ERRORED
    assert verdict.rollback is Rollback.CLEAN
    assert driver.said == ["break a"]
    assert journal.states[1] is FaultState.NOT_INJECTED


def test_one_failing_undo_does_not_keep_the_others_from_being_tried() -> None:
    actions = fault("a", until="run"), fault("b", until="run")
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=actions), answers={"mend b": StepFailed("gone")}
    )
    assert verdict.rollback is Rollback.DIRTY
    assert journal.states == {1: FaultState.UNDONE, 2: FaultState.OUTSTANDING}
    assert driver.said[2:4] == ["mend b", "mend a"]
    assert driver.said.count("mend a") == 1


def test_a_driver_that_breaks_is_a_sentence_and_its_fault_is_undone() -> None:
    verdict, _journal, driver = carry_out(
        Phase("chaos", actions=(fault("a"),)), answers={"break a": KeyError("oops")}
    )
    assert verdict.outcome is Outcome.ERRORED
    assert "KeyError" in verdict.reason
    assert driver.said[-1] == "mend a"


def test_who_has_lost_the_lease_injects_nothing_more() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
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
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a"]


def test_a_lease_lost_while_an_injection_is_cut_off_is_followed_by_the_undo() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    driver.answers["break a"] = lambda: asyncio.sleep(600)
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)

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
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a"]


def test_a_fault_of_24_hours_in_36_hours_of_scenario_takes_no_time() -> None:
    day = 24 * 3600
    late = Action("late", do=say("break late"), undo=say("mend late"), at=6 * 3600)
    verdict, journal, _driver = carry_out(
        Phase("day", hold=30 * 3600, actions=(late,)), Phase("rest", hold=6 * 3600), timeout=2 * day
    )
    assert verdict.outcome is Outcome.PASSED
    assert journal.moment("fault_undone") - journal.moment("fault_injected") == day
    assert journal.moment("phase_finished", "rest") == 36 * 3600


def test_a_process_woken_after_its_lease_injects_nothing_more() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    journal.is_held = lambda: False  # type: ignore[method-assign] # as after a SIGSTOP that lasted longer
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == []
    assert journal.states == {1: FaultState.INJECTING}


def test_where_the_ledger_cannot_be_reached_faults_are_undone_without_it_in_reverse_order() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    actions = fault("a", until="run"), fault("b", until="run")
    engine = engine_of(Plan("test", (Phase("chaos", hold=600, actions=actions),)), driver, journal)

    async def lose_the_database() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(60)
        journal.unreachable = True
        engine.abandon(taking_back=True)
        return await running

    with pytest.raises(LeaseLost):
        run_in_virtual_time(lose_the_database())
    assert driver.said == ["break a", "break b", "mend b", "mend a"]
    assert set(journal.states.values()) == {FaultState.ACTIVE}


def test_a_ledger_lost_in_the_middle_of_the_rollback_keeps_no_fault_injected() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()

    async def lose() -> dict[str, Any]:
        journal.unreachable = True
        return {"status": 200}

    driver.answers["mend a"] = lose
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a", "mend a"]


def test_a_second_signal_while_the_rollback_begins_keeps_no_fault_injected() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = engine_of(Plan("test", (Phase("chaos", hold=60, actions=(fault("a"),)),)), driver, journal)
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


def test_a_ledger_that_breaks_in_an_unforeseen_way_keeps_no_fault_injected() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"),)),)), driver, journal)

    async def broken() -> Any:
        raise ValueError("cannot execute UPDATE in a read-only transaction")

    journal.remaining = broken  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="read-only"):
        run_in_virtual_time(engine.carry_out())
    assert driver.said == ["break a", "mend a"]


@pytest.mark.parametrize("outcome", [Outcome.ABORTED, Outcome.INTERRUPTED])
def test_an_injection_that_was_cut_off_and_arrives_after_its_undo_is_undone_again(outcome: Outcome) -> None:
    journal, driver, broken = InMemoryJournal(), ScriptedDriver(), set[str]()

    async def slow() -> dict[str, Any]:
        asyncio.get_running_loop().call_later(2, broken.add, "b")  # the target goes on, whoever has hung up
        await asyncio.sleep(60)
        return {}

    async def mend() -> dict[str, Any]:
        broken.clear()
        return {}

    driver.answers = {"break b": slow, "mend b": mend}
    engine = engine_of(Plan("test", (Phase("chaos", actions=(fault("a"), fault("b"))),)), driver, journal)

    async def stop_in_the_middle() -> Verdict:
        asyncio.get_running_loop().call_later(1, engine.end, outcome, "stopped")
        return await engine.carry_out()

    verdict = run_in_virtual_time(stop_in_the_middle())
    assert (verdict, broken) == (Verdict(outcome, "stopped", Rollback.CLEAN), set())
    assert driver.said == ["break a", "break b", "mend b", "mend a", "mend b"]
    assert journal.moment("fault_undone", "a") == 1
