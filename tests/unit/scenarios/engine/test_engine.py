"""The engine, by the fake clock: hours pass in milliseconds."""

import asyncio
from typing import Any

import pytest

from scenarios.domain.errors import StepFailed, StepNotDone, StepNotSent
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Validation
from tests.fakes import InMemoryJournal, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import HEALTHY, carry_out, fault, make_engine, say


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


def test_with_stop_a_failed_validation_skips_later_phases_and_undoes_everything() -> None:
    check = Validation("healthy", say("look"), HEALTHY)
    verdict, journal, driver = carry_out(
        Phase("chaos", hold=60, actions=(fault("a"),), validations=(check,), on_failure="stop"),
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


def test_within_polls_until_it_holds_and_measures_when_it_began_to() -> None:
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
def test_a_stop_interrupts_any_step_and_the_reason_names_who_asked(
    phase: Phase, answers: dict[str, Any]
) -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver(answers=answers)
    engine = make_engine(Plan("test", (phase, Phase("later"))), driver, journal)

    async def stop() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(7)
        engine.end(Outcome.ABORTED, "stopped by ann")
        return await running

    verdict = run_in_virtual_time(stop())
    assert verdict == Verdict(Outcome.ABORTED, "stopped by ann", Rollback.CLEAN)
    assert journal.moment("fault_undone") == 7
    assert "phase_started later" not in journal.story()


def test_a_failed_action_ends_the_run_errored_and_its_fault_is_still_undone() -> None:
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=(fault("a"), fault("b"))), answers={"break a": StepNotDone("status 500")}
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


def test_a_broken_driver_is_reported_in_a_sentence_and_its_fault_is_undone() -> None:
    verdict, _journal, driver = carry_out(
        Phase("chaos", actions=(fault("a"),)), answers={"break a": KeyError("oops")}
    )
    assert verdict.outcome is Outcome.ERRORED
    assert "KeyError" in verdict.reason
    assert driver.said[-1] == "mend a"


def test_a_fault_of_24_hours_in_36_hours_of_scenario_takes_no_time() -> None:
    day = 24 * 3600
    late = Action("late", do=say("break late"), undo=say("mend late"), at=6 * 3600)
    verdict, journal, _driver = carry_out(
        Phase("day", hold=30 * 3600, actions=(late,)), Phase("rest", hold=6 * 3600), timeout=2 * day
    )
    assert verdict.outcome is Outcome.PASSED
    assert journal.moment("fault_undone") - journal.moment("fault_injected") == day
    assert journal.moment("phase_finished", "rest") == 36 * 3600


def test_phases_are_never_compared_so_that_the_cost_of_each_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[Phase] = []

    def compare(phase: Phase, other: object) -> bool:
        compared.append(phase)
        return phase is other

    monkeypatch.setattr(Phase, "__eq__", compare)
    check = Validation("healthy", say("look"), HEALTHY)
    phases = [Phase(f"p{n}", validations=(check,)) for n in range(20)]
    verdict, _journal, _driver = carry_out(*phases, answers={"look": {"status": 200}})
    assert verdict.outcome is Outcome.PASSED
    assert compared == []
