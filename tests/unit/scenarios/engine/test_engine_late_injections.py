"""An injection that was never answered may still arrive: what the ledger says of it when the run ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Proof
from tests.fakes import InMemoryJournal, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import HEALTHY, LATE_SECONDS, carry_out, fault, make_engine, say

NEVER: Callable[[], Any] = lambda: asyncio.sleep(3600)  # noqa: E731 - an answer of the scripted driver
SLOW = Phase("chaos", actions=(fault("a"),))


def ended_early(outcome: Outcome) -> tuple[Verdict, InMemoryJournal, ScriptedDriver]:
    journal, driver = InMemoryJournal(), ScriptedDriver(answers={"break a": NEVER})
    engine = make_engine(Plan("test", (SLOW,)), driver, journal)

    async def stop() -> Verdict:
        asyncio.get_running_loop().call_later(5, engine.end, outcome, "told to")
        return await engine.carry_out()

    return run_in_virtual_time(stop()), journal, driver


GUARD = Guard("healthy", say("look"), HEALTHY, every=1, tolerate=3)
WAYS: dict[str, Callable[[], tuple[Verdict, InMemoryJournal, ScriptedDriver]]] = {
    "a stop": lambda: ended_early(Outcome.ABORTED),
    "the worker's end": lambda: ended_early(Outcome.INTERRUPTED),
    "the action's timeout": lambda: carry_out(
        Phase("chaos", actions=(fault("a", timeout=5.0),)), answers={"break a": NEVER}
    ),
    "the run's timeout": lambda: carry_out(SLOW, answers={"break a": NEVER}, timeout=5.0),
    "a guard": lambda: carry_out(SLOW, answers={"break a": NEVER, "look": {"status": 500}}, guards=(GUARD,)),
    "a connection that breaks": lambda: carry_out(SLOW, answers={"break a": StepFailed("broke off")}),
    "a driver that breaks": lambda: carry_out(SLOW, answers={"break a": ValueError("oops")}),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_fault_that_was_cut_off_is_unverified_and_the_run_does_not_wait(
    way: Callable[[], tuple[Verdict, InMemoryJournal, ScriptedDriver]],
) -> None:
    verdict, journal, driver = way()
    assert verdict.rollback is Rollback.UNVERIFIED
    assert journal.states == {1: FaultState.UNVERIFIED}
    assert driver.said.count("mend a") == 1
    assert journal.moment("fault_unverified", "a") <= 5


def test_fault_refused_by_the_target_is_undone_and_closed() -> None:
    verdict, journal, _driver = carry_out(SLOW, answers={"break a": StepNotDone("answered 500")})
    assert (verdict.outcome, verdict.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert journal.states == {1: FaultState.UNDONE}


def test_a_fault_that_was_answered_is_closed_by_its_undo() -> None:
    verdict, journal, _driver = carry_out(SLOW)
    assert (verdict.outcome, verdict.rollback) == (Outcome.PASSED, Rollback.CLEAN)
    assert journal.states == {1: FaultState.UNDONE}


def test_a_late_injection_is_awaited_for_the_timeout_of_its_action_if_that_is_longer() -> None:
    for timeout, late in ((5.0, LATE_SECONDS), (300.0, 300.0)):
        _verdict, journal, _driver = carry_out(
            Phase("chaos", actions=(fault("a", timeout=timeout),)), answers={"break a": NEVER}
        )
        assert journal.faults[1].late_seconds == late
        assert journal.late_until[1] == timeout + late


def test_an_undo_that_succeeds_when_nothing_can_arrive_any_more_closes_the_fault() -> None:
    refusals: list[Any] = [StepFailed("503")] * 7
    verdict, journal, _driver = carry_out(
        SLOW, answers={"break a": StepFailed("broke off"), "mend a": [*refusals, {"status": 200}]}
    )
    assert journal.moment("fault_undone", "a") == 60
    assert verdict.rollback is Rollback.CLEAN


@dataclass
class PromptDriver(ScriptedDriver):
    """Nothing of its steps is done after they were cut off."""

    arrives_late: ClassVar[bool] = False


def test_a_driver_whose_steps_end_with_it_leaves_nothing_to_await() -> None:
    journal, driver = InMemoryJournal(), PromptDriver(answers={"break a": StepFailed("broke off")})
    template = make_engine(Plan("test", (SLOW,)), driver, journal)
    verdict = run_in_virtual_time(template.carry_out())
    assert verdict.rollback is Rollback.CLEAN
    assert journal.states == {1: FaultState.UNDONE}


def test_an_undo_that_finds_nothing_proves_only_that_nothing_is_there_yet() -> None:
    verdict, journal, _driver = carry_out(
        SLOW, answers={"break a": StepFailed("broke off"), "mend a": {"gone": True}}
    )
    assert journal.states == {1: FaultState.UNVERIFIED}  # the scripted driver has no undo of its own
    assert verdict.rollback is Rollback.UNVERIFIED


@dataclass
class BehindAGateway(ScriptedDriver):
    """What the gateway answers for the target says nothing of what became of a step."""

    def is_of_target(self, fields: Any) -> bool:
        return bool(fields["status"] != 504)


AGAIN = Phase("chaos", actions=(fault("a", until="phase", expect=HEALTHY),), hold=2.0, on_failure="continue")


def carry_on(*phases: Phase, **answers: Any) -> tuple[Verdict, InMemoryJournal, ScriptedDriver]:
    journal = InMemoryJournal()
    driver = BehindAGateway(answers={"break a": {"status": 504}, **answers})
    engine = make_engine(Plan("test", (AGAIN, *phases), timeout=3600.0), driver, journal)
    return run_in_virtual_time(engine.carry_out()), journal, driver


def test_while_the_run_goes_on_a_fault_is_undone_again_when_its_injection_can_no_longer_arrive() -> None:
    verdict, journal, driver = carry_on(Phase("afterwards", hold=300.0))
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.CLEAN)
    assert driver.said.count("mend a") == 2
    assert journal.moment("fault_unverified", "a") == 2
    undone = journal.moment("fault_undone", "a")
    assert 2 + LATE_SECONDS <= undone <= 2 + LATE_SECONDS + 2
    assert journal.states == {1: FaultState.UNDONE}


def test_where_the_run_ends_before_that_it_is_left_to_the_watchdog() -> None:
    verdict, journal, driver = carry_on(Phase("afterwards", hold=10.0))
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.UNVERIFIED)
    assert driver.said.count("mend a") == 1
    assert journal.states == {1: FaultState.UNVERIFIED}


def test_undo_that_fails_during_the_run_is_retried_at_its_end() -> None:
    answers: list[Any] = [{"status": 200}, StepFailed("503"), {"status": 200}]
    verdict, journal, driver = carry_on(Phase("afterwards", hold=300.0), **{"mend a": answers})
    assert (verdict.outcome, verdict.rollback) == (Outcome.FAILED, Rollback.CLEAN)
    assert driver.said.count("mend a") == 3
    assert journal.moment("fault_undone", "a") == journal.moment("rollback_started")


# What shows that a fault is gone


def proven(**more: Any) -> Action:
    return fault("a", undone=Proof(say("see"), HEALTHY), **more)


def test_a_fault_counts_as_undone_when_the_proof_holds_and_it_is_looked_at_until_then() -> None:
    looks: list[Any] = [{"status": 503}] * 4
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=(proven(),)), answers={"see": [*looks, {"status": 200}]}
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.PASSED, Rollback.CLEAN)
    assert driver.said == ["break a", "mend a", *["see"] * 5]
    assert journal.moment("fault_undone", "a") == 2


def test_a_proof_that_never_holds_leaves_the_fault_outstanding_after_the_undo_s_timeout() -> None:
    verdict, journal, _driver = carry_out(
        Phase("chaos", actions=(proven(undo_timeout=5.0),)), answers={"see": {"status": 503}}
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.ERRORED, Rollback.DIRTY)
    assert journal.states == {1: FaultState.OUTSTANDING}
    first = next(event for event in journal.events if event.kind == "fault_undo_failed")
    assert first.detail["reason"] == "it is not undone: 'status' is 503, not 200"
    assert journal.moment("fault_undo_failed", "a") == 4.5


@pytest.mark.parametrize("answer", [StepImpossible("unknown service 'x'"), KeyError("oops")])
def test_a_proof_that_cannot_be_looked_at_leaves_the_fault_outstanding(answer: Exception) -> None:
    verdict, journal, _driver = carry_out(
        Phase("chaos", actions=(proven(), fault("b"))), answers={"see": answer}
    )
    assert verdict.rollback is Rollback.DIRTY
    assert journal.states == {1: FaultState.OUTSTANDING, 2: FaultState.UNDONE}
    failed = next(event for event in journal.events if event.kind == "fault_undo_failed")
    assert failed.detail["reason"].startswith("whether it is undone cannot be seen: ")


def test_a_proof_decides_also_where_the_undo_was_refused() -> None:
    verdict, journal, driver = carry_out(
        Phase("chaos", actions=(proven(),)), answers={"mend a": StepNotDone("there is none")}
    )
    assert verdict.rollback is Rollback.CLEAN
    assert driver.said == ["break a", "mend a", "see"]
    assert journal.states == {1: FaultState.UNDONE}


def test_an_undo_that_failed_and_is_not_proven_is_tried_again_with_both_reasons() -> None:
    verdict, journal, _driver = carry_out(
        Phase("chaos", actions=(proven(),)),
        answers={"mend a": [StepFailed("refused"), {}], "see": [{"status": 500}, {"status": 200}]},
    )
    assert verdict.rollback is Rollback.CLEAN
    failed = next(event for event in journal.events if event.kind == "fault_undo_failed")
    assert failed.detail["reason"] == "refused; it is not undone: 'status' is 500, not 200"
    assert journal.moment("fault_undone", "a") == 0.5


def test_a_target_that_is_away_is_told_once() -> None:
    """By the undo and by the probe of the proof."""
    _verdict, journal, _driver = carry_out(
        Phase("chaos", actions=(proven(),)),
        answers={"mend a": [StepFailed("away"), {}], "see": [StepFailed("away"), {"status": 200}]},
    )
    failed = next(event for event in journal.events if event.kind == "fault_undo_failed")
    assert failed.detail["reason"] == "away"


def test_a_proof_says_of_a_fault_that_was_cut_off_only_that_it_is_not_there_yet() -> None:
    """The probe says "gone" before the late injection arrives: the ledger does not believe it for good."""
    verdict, journal, _driver = carry_out(
        Phase("chaos", actions=(proven(),)), answers={"break a": StepFailed("broke off")}
    )
    assert verdict.rollback is Rollback.CLEAN
    assert journal.states == {1: FaultState.WATCHED}
    assert journal.late_until == {1: LATE_SECONDS}


def test_a_plan_s_proofs_are_steps_of_it() -> None:
    plan = Plan("test", (Phase("chaos", actions=(proven(),)),))
    assert say("see") in list(plan.steps())
    assert say("see") not in list(plan.steps_of_actions())
