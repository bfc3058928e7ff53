"""After a failure everything is undone at once, and phases that only look say how the target recovers."""

import asyncio
from typing import Any

import pytest

from scenarios.domain.errors import StepFailed
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Validation
from tests.fakes import InMemoryJournal, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import HEALTHY, carry_out, fault, make_engine, say

GOOD, BAD = {"status": 200}, {"status": 503}
STEADY = Validation("stays healthy", say("look"), HEALTHY, throughout=True)
BACK = Validation("is healthy again", say("look again"), HEALTHY, within=30.0)
CHAOS = Phase("chaos", hold=60.0, actions=(fault("a"),), validations=(STEADY,))
MORE_CHAOS = Phase("more chaos", actions=(fault("b"),))
RECOVERY = Phase("recovery", validations=(BACK,))
BREAKS = [GOOD, GOOD, BAD]


def test_faults_are_undone_at_once_and_only_looking_goes_on() -> None:
    answers = {"look": list(BREAKS), "look again": [BAD, BAD, GOOD]}
    verdict, journal, driver = carry_out(CHAOS, MORE_CHAOS, RECOVERY, answers=answers)
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.CLEAN)
    assert "stays healthy" in verdict.reason
    assert driver.said == ["break a", *["look"] * 3, "mend a", *["look again"] * 3]
    assert journal.moment("fault_undone", "a") == journal.moment("validation_failed") == 2
    assert journal.moment("phase_finished", "chaos") == 2
    (passed,) = [event for event in journal.events if event.kind == "validation_passed"]
    assert passed.detail["time_to_pass"] == 2
    assert "phase_started more chaos" not in journal.story()


def test_after_a_failed_baseline_nothing_is_injected() -> None:
    baseline = Phase("baseline", hold=60.0, validations=(STEADY,))
    verdict, journal, driver = carry_out(baseline, CHAOS, RECOVERY, answers={"look": BAD})
    assert (verdict.outcome, driver.said) == (Outcome.FAILED, ["look", "look again"])
    assert journal.moment("phase_finished", "recovery") == 0


def test_a_fault_until_the_end_of_the_run_is_undone_if_a_later_phase_fails() -> None:
    lasting = Phase("chaos", actions=(fault("a", until="run"),))
    watched = Phase("watched", hold=60.0, validations=(STEADY,))
    verdict, journal, _driver = carry_out(lasting, watched, RECOVERY, answers={"look": list(BREAKS)})
    assert verdict.outcome is Outcome.FAILED
    assert journal.moment("fault_undone", "a") == journal.moment("phase_started", "recovery") == 2


def test_a_failed_recovery_does_not_keep_its_other_validations_from_being_judged() -> None:
    never = Validation("is quick again", say("never"), HEALTHY, within=5.0)
    recovery = Phase("recovery", validations=(never, BACK))
    answers = {"never": BAD, "look again": [*[BAD] * 8, GOOD]}
    verdict, journal, _driver = carry_out(Phase("chaos", actions=(fault("a"),)), recovery, answers=answers)
    assert verdict.outcome is Outcome.FAILED
    assert "is quick again" in verdict.reason
    assert journal.moment("validation_passed", "is healthy again") == 8


def test_an_action_that_fails_its_expectation_is_followed_by_no_other_action() -> None:
    chaos = Phase("chaos", actions=(fault("a", expect=HEALTHY), fault("b")))
    verdict, _journal, driver = carry_out(chaos, RECOVERY, answers={"break a": BAD})
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.CLEAN)
    assert driver.said == ["break a", "mend a", "look again"]


def test_fault_being_injected_during_a_failure_is_undone() -> None:
    late = Action("late", do=say("break late"), undo=say("mend late"), at=1.0)
    chaos = Phase("chaos", hold=60.0, actions=(late,), validations=(STEADY,))
    answers = {"look": list(BREAKS), "break late": lambda: asyncio.sleep(20)}
    verdict, journal, driver = carry_out(chaos, RECOVERY, answers=answers)
    assert verdict.outcome is Outcome.FAILED
    assert driver.said.index("mend late") < driver.said.index("look again")
    assert journal.moment("phase_started", "recovery") == 2


def test_while_a_fault_is_left_nothing_can_recover() -> None:
    answers = {"look": list(BREAKS), "mend a": StepFailed("refused")}
    verdict, journal, driver = carry_out(CHAOS, RECOVERY, answers=answers)
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.DIRTY)
    assert "stays healthy" in verdict.reason
    assert "phase_started recovery" not in journal.story()
    assert "look again" not in driver.said


def test_a_guard_that_trips_during_the_recovery_is_graver_than_the_failure() -> None:
    guard = Guard("stays up", say("guard"), HEALTHY)
    answers = {"look": list(BREAKS), "look again": BAD, "guard": [*[GOOD] * 5, BAD]}
    verdict, journal, _driver = carry_out(CHAOS, RECOVERY, answers=answers, guards=(guard,))
    assert verdict.outcome is Outcome.ABORTED
    assert journal.moment("guard_tripped") == 5


@pytest.mark.parametrize("after", [1.0, 2.0, 2.5, 10.0])
def test_a_stop_ends_the_run_whenever_it_comes(after: float) -> None:
    answers: dict[str, Any] = {"look": list(BREAKS), "look again": BAD}
    journal, driver = InMemoryJournal(), ScriptedDriver(answers=answers)
    engine = make_engine(Plan("test", (CHAOS, RECOVERY)), driver, journal)

    async def stop() -> Verdict:
        running = asyncio.create_task(engine.carry_out())
        await asyncio.sleep(after)
        engine.end(Outcome.ABORTED, "stopped by ann")
        return await running

    verdict = run_in_virtual_time(stop())
    assert verdict == Verdict(Outcome.ABORTED, "stopped by ann", Rollback.CLEAN)
    assert journal.moment("fault_undone", "a") == min(after, 2.0)
