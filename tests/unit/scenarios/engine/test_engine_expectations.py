"""Actions that say what their answer must be: what is missed has failed, what was not done is errored."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from scenarios.domain.errors import StepFailed, StepNotDone
from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.domain.plan import Action, Guard, Phase, Plan, Step, Validation
from scenarios.engine.engine import Engine
from scenarios.engine.stages import ALL_HELD, NOTHING_CHECKED
from tests.fakes import (
    FakeClock,
    InMemoryJournal,
    NoServices,
    ScriptedDriver,
    TargetCall,
    run_in_virtual_time,
)
from tests.unit.scenarios.engine.engine_runs import HEALTHY, carry_out, fault, say


@dataclass
class JudgedDriver(ScriptedDriver):
    """Decides by `status`, as the http driver does: its actions are done when it is 200."""

    decided_by: ClassVar[str] = "status"

    async def act(self, arguments: TargetCall, platform: Any) -> Any:
        answer = await self.probe(arguments, platform)
        if answer["status"] != 200:
            raise StepNotDone(f"answered {answer['status']}")
        return answer


def carry_out_judged(*phases: Phase, answers: dict[str, Any]) -> tuple[Any, InMemoryJournal, ScriptedDriver]:
    journal, driver = InMemoryJournal(), JudgedDriver(answers=answers)
    engine = Engine(
        Plan("test", phases),
        drivers={"target": driver},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
    )
    return run_in_virtual_time(engine.carry_out()), journal, driver


def test_an_action_whose_expectation_is_missed_fails_the_run_and_its_fault_is_undone() -> None:
    broken = fault("a", expect=Expectations({"queue": {"below": 5}}))
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=(broken, fault("b"))), Phase("later"), answers={"break a": {"queue": 7}}
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.CLEAN)
    assert "action 'a' of phase 'chaos' failed: 'queue' is 7, not below 5" in verdict.reason
    assert driver.said == ["break a", "mend a"]
    assert journal.states == {1: FaultState.UNDONE}
    (failed,) = [event for event in journal.events if event.kind == "action_failed"]
    assert failed.detail["seen"] == {"queue": 7}


def test_an_expectation_that_is_met_lets_the_run_go_on() -> None:
    action = Action("order", do=say("order"), expect=HEALTHY)
    verdict, journal, _driver = carry_out(Phase("p", actions=(action,)), answers={"order": {"status": 200}})
    assert verdict.outcome is Outcome.PASSED
    assert "action_finished order" in journal.story()


def test_a_missed_expectation_in_a_phase_with_continue_is_reported_at_the_end() -> None:
    action = Action("order", do=say("order"), expect=HEALTHY)
    verdict, _journal, driver = carry_out(
        Phase("p", actions=(action, Action("next", do=say("next"))), on_failure="continue"),
        Phase("later", actions=(Action("last", do=say("last")),)),
        answers={"order": {"status": 500}},
    )
    assert verdict.outcome is Outcome.FAILED
    assert driver.said == ["order", "next", "last"]


def test_an_action_that_got_no_answer_is_errored_whatever_it_expects() -> None:
    action = Action("order", do=say("order"), expect=HEALTHY)
    verdict, _journal, _driver = carry_out(
        Phase("p", actions=(action,)), answers={"order": StepFailed("no answer within 30s")}
    )
    assert verdict.outcome is Outcome.ERRORED


@pytest.mark.parametrize(
    ("expect", "ok", "status", "outcome"),
    [
        ({"status": 200}, (), 503, Outcome.FAILED),
        ({"status": {"in": [200, 409]}}, (), 409, Outcome.PASSED),
        ({"json": {"$.a": 1}}, (), 503, Outcome.ERRORED),
        ({"status": 503}, [503], 503, Outcome.ERRORED),  # the scripted driver's `act` knows no `ok`
        ({"elapsed": {"below": 1}}, (), 200, Outcome.FAILED),
    ],
)
def test_the_field_that_decides_is_judged_by_the_expectation_that_names_it(
    expect: dict[str, Any], ok: Any, status: int, outcome: Outcome
) -> None:
    words = {"say": "order", **({"ok": ok} if ok else {})}
    action = Action("order", do=Step("target", words), expect=Expectations(expect))
    verdict, _journal, _driver = carry_out_judged(
        Phase("p", actions=(action,)), answers={"order": {"status": status}}
    )
    assert verdict.outcome is outcome


def test_secrets_in_an_answer_that_is_not_expected_are_redacted() -> None:
    secret = "correct horse battery"
    action = Action(
        "log in",
        do=Step("target", {"say": "${secret:TOKEN}"}),
        expect=Expectations({"body": {"contains": "welcome"}}),
    )
    verdict, journal, _driver = carry_out(Phase("p", actions=(action,)), answers={secret: {"body": secret}})
    assert verdict.outcome is Outcome.FAILED
    assert secret not in f"{verdict} {journal.events}"


LOOK = Validation("look", probe=say("look"), expect=HEALTHY)


@pytest.mark.parametrize(
    ("phase", "more", "reason"),
    [
        (Phase("p", hold=1.0), {}, NOTHING_CHECKED),
        (Phase("p", actions=(fault("f"),)), {}, NOTHING_CHECKED),
        (Phase("p", validations=(LOOK,)), {}, ALL_HELD),
        (Phase("p", actions=(Action("a", say("look"), expect=HEALTHY),)), {}, ALL_HELD),
        (Phase("p"), {"guards": (Guard("g", probe=say("look"), expect=HEALTHY),)}, ALL_HELD),
    ],
)
def test_a_run_that_has_checked_nothing_says_so(phase: Phase, more: dict[str, Any], reason: str) -> None:
    verdict, _, _ = carry_out(phase, answers={"look": {"status": 200}}, **more)
    assert (verdict.outcome, verdict.reason) == (Outcome.PASSED, reason)
