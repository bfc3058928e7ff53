"""`retry` of an action: tried again is what was not done, and never what may have arrived."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import (
    FaultGone,
    InvalidDocument,
    StepFailed,
    StepImpossible,
    StepNotDone,
    StepNotSent,
)
from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Phase, Plan, Retry
from scenarios.language.document import parse_document
from scenarios.library.dry_run import list_steps
from scenarios.pictures.plan_timeline import plan_timeline
from tests.fakes import InMemoryJournal, ScriptedDriver, TargetCall, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import carry_out, fault, make_engine, say

DONE = {"status": 200}
BUSY = StepNotDone("busy")
UNSENT = StepNotSent("refused the connection")
LOST = StepFailed("no answer")
HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n  phases:\n"


def run(answers: list[Any], retry: Retry | None, **more: Any) -> tuple[Verdict, InMemoryJournal, list[str]]:
    action = Action("a", do=say("act"), retry=retry, **more)
    verdict, journal, driver = carry_out(Phase("p", actions=(action,)), answers={"act": answers})
    return verdict, journal, driver.said


def test_an_action_is_tried_again_until_it_is_done_and_each_time_is_recorded() -> None:
    verdict, journal, said = run([BUSY, UNSENT, DONE], Retry(3, 2.0))
    assert (verdict.outcome, said) == (Outcome.PASSED, ["act"] * 3)
    assert journal.story()[1:5] == [
        "action_started a",
        "action_retried a",
        "action_retried a",
        "action_finished a",
    ]
    assert [event.detail["reason"] for event in journal.events if event.kind == "action_retried"] == [
        "busy",
        "refused the connection",
    ]
    assert journal.moment("action_finished") == 4


def test_an_action_that_is_never_done_is_errored_with_its_last_reason() -> None:
    verdict, _journal, said = run([BUSY, BUSY, StepNotDone("still busy")], Retry(2))
    assert (verdict.outcome, said) == (Outcome.ERRORED, ["act"] * 3)
    assert "still busy" in verdict.reason


@pytest.mark.parametrize("error", [LOST, StepImpossible("forbidden"), FaultGone("gone")])
def test_actions_that_may_have_arrived_or_are_impossible_are_not_retried(error: Exception) -> None:
    verdict, _journal, said = run([error, DONE], Retry(5))
    assert (verdict.outcome, said) == (Outcome.ERRORED, ["act"])


def test_an_expectation_that_does_not_hold_is_not_tried_again() -> None:
    verdict, _journal, said = run([{"status": 500}, DONE], Retry(5), expect=Expectations({"status": 200}))
    assert (verdict.outcome, said) == (Outcome.FAILED, ["act"])


def test_an_action_without_retry_is_tried_once() -> None:
    assert run([BUSY, DONE], None)[2] == ["act"]


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 2), (1.0, 2), (7.0, 7), (900.0, 30)])
def test_the_pause_that_the_target_asks_for_is_kept_up_to_the_timeout(asked: float, waited: float) -> None:
    _verdict, journal, _said = run([StepNotDone("busy", retry_after=asked), DONE], Retry(1, 2.0))
    assert journal.moment("action_finished") == waited


def test_a_fault_is_in_the_ledger_once_and_injected_by_the_try_that_succeeds() -> None:
    answers = {"break a": [UNSENT, BUSY, DONE]}
    verdict, journal, driver = carry_out(Phase("p", actions=(fault("a", retry=Retry(2)),)), answers=answers)
    assert (verdict.outcome, verdict.rollback) == (Outcome.PASSED, Rollback.CLEAN)
    assert driver.said == ["break a"] * 3 + ["mend a"]
    assert list(journal.states.values()) == [FaultState.UNDONE]
    assert journal.story().count("fault_injecting a") == 1


def test_a_fault_that_was_refused_once_is_undone_although_the_last_try_was_not_sent() -> None:
    answers = {"break a": [BUSY, UNSENT]}
    verdict, journal, driver = carry_out(Phase("p", actions=(fault("a", retry=Retry(1)),)), answers=answers)
    assert verdict.outcome is Outcome.ERRORED
    assert driver.said == ["break a", "break a", "mend a"]
    assert list(journal.states.values()) == [FaultState.UNDONE]


def test_a_fault_that_was_never_sent_is_not_undone() -> None:
    answers = {"break a": [UNSENT]}
    _verdict, journal, driver = carry_out(Phase("p", actions=(fault("a", retry=Retry(1)),)), answers=answers)
    assert driver.said == ["break a", "break a"]
    assert list(journal.states.values()) == [FaultState.NOT_INJECTED]


def test_a_fault_is_not_tried_again_by_a_process_that_has_lost_the_run() -> None:
    journal = InMemoryJournal()

    async def refuse_and_lose() -> dict[str, Any]:
        journal.lost = True
        raise BUSY

    driver = ScriptedDriver(answers={"break a": refuse_and_lose})
    engine = make_engine(Plan("test", (Phase("p", actions=(fault("a", retry=Retry(5)),)),)), driver, journal)
    with pytest.raises(Exception, match="taken the run over"):
        run_in_virtual_time(engine.carry_out())
    assert driver.said.count("break a") == 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([DONE, BUSY, UNSENT, LOST]), min_size=1, max_size=6), st.integers(1, 5))
def test_tries_end_with_the_first_that_was_or_may_have_been_done(answers: list[Any], times: int) -> None:
    answers = [*answers, DONE]
    first = next(number for number, result in enumerate(answers) if result in (DONE, LOST))
    _verdict, _journal, said = run(list(answers), Retry(times))
    assert len(said) == min(first, times) + 1


@pytest.mark.parametrize(
    ("retry", "message"),
    [
        ("{times: 0}", "column 74: 0 is not allowed: it must be at least 1"),
        ("{times: 101}", "it must be at most 100"),
        ("{every: 2s}", "column 66: 'times' is missing from 'retry'"),
        ("{times: 2, every: 0s}", "the duration must be greater than zero"),
        (
            "{times: 2, evry: 1s}",
            "column 77: unknown key 'evry' in 'retry'; allowed: times, every (did you mean",
        ),
        ("3", "3 is not a mapping"),
    ],
)
def test_a_retry_that_is_not_valid_is_refused_at_its_place(retry: str, message: str) -> None:
    source = f"{HEAD}  - {{name: p, actions: [{{name: a, do: {{target: {{say: x}}}}, retry: {retry}}}]}}\n"
    with pytest.raises(InvalidDocument) as refused:
        parse_document(source, {"target": TargetCall})
    assert message in str(refused.value)
    assert str(refused.value).startswith("line 6, ")


def test_the_pause_is_kept_where_a_sensitive_step_hides_the_reason() -> None:
    action = Action("a", do=replace(say("act"), sensitive=True), retry=Retry(1))
    answers = {"act": [StepNotDone("busy with a secret", retry_after=9.0), DONE]}
    _verdict, journal, _driver = carry_out(Phase("p", actions=(action,)), answers=answers)
    assert journal.moment("action_finished") == 9
    assert "busy with a secret" not in str(journal.events)


def test_plan_and_picture_show_the_retries() -> None:
    plan = Plan("test", (Phase("p", actions=(Action("a", do=say("act"), retry=Retry(2, 1.5)),)),))
    (step,) = list_steps(plan)
    assert step.note == "tried up to 2 more times, every 1.5s, if it was not done"
    assert "a, tried up to 2 more times" in plan_timeline(plan)
