"""A guard that has never looked, or never held, has guarded nothing."""

import asyncio

from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import Guard, Phase
from tests.unit.scenarios.engine.engine_runs import HEALTHY, carry_out, say


async def never() -> None:
    await asyncio.Event().wait()


def test_a_guard_whose_first_look_is_late_is_waited_for() -> None:
    async def late() -> dict[str, int]:
        await asyncio.sleep(5)
        return {"status": 200}

    guard = Guard("slow", probe=say("slow"), expect=HEALTHY)
    verdict, journal, _ = carry_out(Phase("short", hold=1.0), guards=(guard,), answers={"slow": late})
    assert verdict.outcome is Outcome.PASSED
    assert journal.events[-1].kind == "phase_finished"


def test_a_run_does_not_pass_before_its_guards_have_looked_once() -> None:
    guard = Guard("silent", probe=say("silent"), expect=HEALTHY, timeout=10.0)
    verdict, _, _ = carry_out(Phase("short", hold=1.0), guards=(guard,), answers={"silent": never})
    assert verdict.outcome is Outcome.ABORTED
    assert "no answer within 10s" in verdict.reason


def test_a_guard_that_never_answered_ends_the_run_errored() -> None:
    guard = Guard("silent", probe=say("silent"), expect=HEALTHY, timeout=600.0)
    verdict, _, _ = carry_out(Phase("short", hold=1.0), guards=(guard,), answers={"silent": never})
    assert verdict.outcome is Outcome.ERRORED
    assert verdict.reason == "no look of guard 'silent' was over before the run's end"


def test_a_guard_that_has_never_held_aborts_a_run_that_is_too_short_for_its_tolerance() -> None:
    guard = Guard("red", probe=say("red"), expect=HEALTHY, tolerate=10)
    verdict, journal, _ = carry_out(
        Phase("short", hold=2.0), guards=(guard,), answers={"red": {"status": 503}}
    )
    assert verdict.outcome is Outcome.ABORTED
    assert verdict.reason == (
        "guard 'red' tripped: it has not held once; seen last: 'status' is 503, not 200"
    )
    assert [event.subject for event in journal.events if event.kind == "guard_tripped"] == ["red"]


def test_a_guard_that_has_held_once_may_fail_as_often_as_it_tolerates() -> None:
    answers = iter([200, 503, 503, 503, 503])

    async def worsen() -> dict[str, int]:
        return {"status": next(answers)}

    guard = Guard("red", probe=say("red"), expect=HEALTHY, tolerate=10)
    verdict, _, _ = carry_out(Phase("short", hold=2.0), guards=(guard,), answers={"red": worsen})
    assert verdict.outcome is Outcome.PASSED
