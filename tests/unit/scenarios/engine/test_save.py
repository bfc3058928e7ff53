"""`save` of steps, and `${saved.NAME}` in those that follow."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from scenarios.domain.errors import LeaseLost, StepFailed
from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.domain.plan import Action, Phase, Plan, Proof, Validation
from scenarios.engine.rollback import undo_all
from scenarios.engine.steps import StepRunner
from tests.fakes import FakeClock, InMemoryJournal, NoServices, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import HEALTHY, carry_out, make_engine, say

SECRET = "correct horse battery"  # what NoServices says of TOKEN
ORDER = {"order": "$.id"}


def answer(**json: Any) -> dict[str, Any]:
    return {"status": 200, "json": json}


def order(name: str = "a", undo: str = "mend ${saved.order}", **more: Any) -> Action:
    return Action(name, do=say("break"), undo=say(undo), save=ORDER, **more)


def test_a_later_step_and_the_own_undo_use_what_was_saved() -> None:
    look = Validation("v", say("look at ${saved.order}"), HEALTHY)
    verdict, journal, driver = carry_out(
        Phase("p", actions=(order(),), validations=(look,)), answers={"break": answer(id="n7")}
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.PASSED, Rollback.CLEAN)
    assert driver.said == ["break", "look at n7", "mend n7"]
    finished = next(event for event in journal.events if event.kind == "action_finished")
    assert finished.detail["seen"]["saved"] == {"order": "n7"}


def test_an_expectation_compares_with_a_saved_value_of_its_own_type() -> None:
    first = Validation("first", say("count"), HEALTHY, save={"before": "$.n"})
    again = Validation(
        "again", say("count again"), Expectations({"json": {"$.n": {"at_least": "${saved.before}"}}})
    )
    answers = {"count": answer(n=41), "count again": answer(n=40)}
    verdict, _journal, _driver = carry_out(
        Phase("p", validations=(first,)), Phase("q", validations=(again,)), answers=answers
    )
    assert verdict.outcome is Outcome.FAILED
    assert "is 40, expected at_least 41" in verdict.reason or "41" in verdict.reason


def test_the_ledger_has_the_value_before_the_fault_counts_as_injected() -> None:
    journal = InMemoryJournal()
    written: list[tuple[FaultState, str]] = []
    complete = journal.complete

    async def note(fault: Any) -> None:
        await complete(fault)
        written.append((journal.states[fault.key], fault.undo.arguments["say"]))

    journal.complete = note  # type: ignore[method-assign]
    driver = ScriptedDriver(answers={"break": answer(id=7)})
    engine = make_engine(Plan("test", (Phase("p", actions=(order(),)),)), driver, journal)
    run_in_virtual_time(engine.carry_out())
    assert written == [(FaultState.INJECTING, "mend 7")]


@pytest.mark.parametrize("lost_after", ["answer", "completion"])
def test_a_process_that_takes_over_knows_the_value_only_from_the_ledger(lost_after: str) -> None:
    """The worker is killed between the answer and the completion of the ledger, or after it."""
    journal = InMemoryJournal()
    complete = journal.complete

    async def die(fault: Any) -> None:
        if lost_after == "completion":
            await complete(fault)
        raise LeaseLost("killed")

    journal.complete = die  # type: ignore[method-assign]

    class Killed(ScriptedDriver):
        async def probe(self, arguments: Any, platform: Any) -> Mapping[str, Any]:
            if arguments.say.startswith("mend"):
                raise StepFailed("this process is dead")
            return await super().probe(arguments, platform)

    engine = make_engine(
        Plan("test", (Phase("p", actions=(order(),)),)), Killed(answers={"break": answer(id=7)}), journal
    )
    with pytest.raises(LeaseLost):
        run_in_virtual_time(engine.carry_out())
    other = ScriptedDriver()
    steps = StepRunner({"target": other}, NoServices(), FakeClock())

    async def take_over() -> Any:
        return await undo_all(
            await journal.remaining(), ledger=journal, steps=steps, clock=FakeClock(), delays=()
        )

    left = run_in_virtual_time(take_over())
    if lost_after == "completion":
        assert (left, other.said) == ([], ["mend 7"])
    else:
        assert other.said == []
        assert list(journal.states.values()) == [FaultState.OUTSTANDING]
        reason = journal.events[-1].detail["reason"]
        assert "'${saved.order}' is unknown: no answer has come that it could be saved from" in reason


def test_a_fault_without_an_answer_is_outstanding_and_says_so() -> None:
    verdict, journal, driver = carry_out(
        Phase("p", actions=(order(),)), answers={"break": StepFailed("no answer")}
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.ERRORED, Rollback.DIRTY)
    assert driver.said == ["break"]
    assert "'${saved.order}' is unknown" in journal.events[-1].detail["reason"]


def test_an_undo_that_needs_nothing_saved_is_carried_out_although_no_answer_came() -> None:
    _verdict, _journal, driver = carry_out(
        Phase("p", actions=(order(undo="mend all"),)), answers={"break": StepFailed("no answer")}
    )
    assert driver.said == ["break", "mend all"]


def test_an_answer_without_the_value_fails_the_action_and_its_fault_is_outstanding() -> None:
    verdict, journal, driver = carry_out(Phase("p", actions=(order(),)), answers={"break": answer(no=1)})
    assert verdict.outcome is Outcome.FAILED
    assert "'order' cannot be saved: '$.id' selects nothing" in verdict.reason
    assert driver.said == ["break"]
    assert list(journal.states.values()) == [FaultState.OUTSTANDING]


def test_a_step_that_uses_what_was_never_saved_is_errored_and_nothing_is_sent() -> None:
    phases = (
        Phase("p", validations=(Validation("v", say("look"), HEALTHY, save=ORDER),), on_failure="continue"),
        Phase("q", actions=(Action("b", do=say("use ${saved.order}"), undo=say("mend")),)),
    )
    verdict, journal, driver = carry_out(*phases, answers={"look": answer()})
    assert verdict.outcome is Outcome.ERRORED
    assert "'${saved.order}' is unknown" in verdict.reason
    assert driver.said == ["look"]
    assert list(journal.states.values()) == [FaultState.NOT_INJECTED]


def test_each_fault_is_undone_with_what_its_own_injection_has_answered() -> None:
    actions = (order("a"), order("b"))
    answers = {"break": [answer(id=1), answer(id=2)]}
    _verdict, _journal, driver = carry_out(Phase("p", actions=actions), answers=answers)
    assert driver.said == ["break", "break", "mend 2", "mend 1"]


def test_an_undo_uses_what_an_earlier_step_saved_when_the_fault_was_opened() -> None:
    first = Action("first", do=say("ask"), save=ORDER)
    fault = Action("fault", do=say("break"), undo=say("mend ${saved.order}"), until="run")
    last = Action("last", do=say("ask"), save=ORDER)
    answers = {"ask": [answer(id=1), answer(id=2)]}
    _verdict, _journal, driver = carry_out(Phase("p", actions=(first, fault, last)), answers=answers)
    assert driver.said == ["ask", "break", "ask", "mend 1"]


def test_a_proof_waits_for_what_the_injection_has_answered() -> None:
    proof = Proof(say("is ${saved.order} gone"), Expectations({"json": {"$.gone": "${saved.order}"}}))
    answers = {"break": answer(id="n7"), "is n7 gone": answer(gone="n7")}
    verdict, _journal, driver = carry_out(Phase("p", actions=(order(undone=proof),)), answers=answers)
    assert verdict.rollback is Rollback.CLEAN
    assert driver.said == ["break", "mend n7", "is n7 gone"]


def test_a_secret_in_a_saved_value_is_a_reference_in_the_ledger_and_redacted_everywhere_else() -> None:
    use = Action("use", do=say("with ${secret:TOKEN}"))
    fault = order(undo="mend ${saved.order}!")
    verdict, journal, driver = carry_out(
        Phase("p", actions=(use, fault)), answers={"break": answer(id=f"id-{SECRET}")}
    )
    assert verdict.rollback is Rollback.CLEAN
    assert driver.said[-1] == f"mend id-{SECRET}!"
    (kept,) = journal.faults.values()
    assert kept.undo.arguments == {"say": "mend id-${secret:TOKEN}!"}
    assert SECRET not in str(journal.events)
    assert SECRET not in str(journal.faults)


def test_an_encoded_secret_is_not_written_to_the_ledger() -> None:
    use = Action("use", do=say("with ${secret:TOKEN}"))
    encoded = SECRET.encode().hex()
    _verdict, journal, driver = carry_out(
        Phase("p", actions=(use, order())), answers={"break": answer(id=encoded)}
    )
    assert driver.said[-1] == f"mend {encoded}"
    assert encoded not in str(journal.faults) + str(journal.events)


def test_values_saved_by_a_sensitive_step_are_secrets_from_then_on() -> None:
    login = Action("login", do=replace(say("login"), sensitive=True), save={"token": "$.token"})
    use = Validation("v", say("ask with ${saved.token}"), Expectations({"status": 201}))
    answers = {
        "login": answer(token="swordfish"),
        "ask with swordfish": {"status": 200, "body": "swordfish?"},
    }
    verdict, journal, driver = carry_out(Phase("p", actions=(login,), validations=(use,)), answers=answers)
    assert driver.said == ["login", "ask with swordfish"]
    assert "swordfish" not in str(journal.events) + verdict.reason


def test_a_look_without_the_value_does_not_hold_yet() -> None:
    look = Validation("v", say("look"), HEALTHY, within=5, every=1, save=ORDER)
    use = Action("use", do=say("use ${saved.order}"))
    answers = {"look": [answer(), answer(), answer(id=3)]}
    verdict, _journal, driver = carry_out(
        Phase("p", validations=(look,)), Phase("q", actions=(use,)), answers=answers
    )
    assert verdict.outcome is Outcome.PASSED
    assert driver.said == ["look", "look", "look", "use 3"]


def test_a_reference_to_a_secret_in_an_answer_is_plain_text() -> None:
    use = Action("use", do=say("use ${saved.order}"))
    answers = {"break": answer(id="${secret:TOKEN} ${saved.order}")}
    _verdict, _journal, driver = carry_out(Phase("p", actions=(order(), use)), answers=answers)
    assert driver.said[1:] == ["use ${secret:TOKEN} ${saved.order}", "mend ${secret:TOKEN} ${saved.order}"]
