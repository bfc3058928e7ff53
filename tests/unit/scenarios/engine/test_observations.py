"""One look at a target: what is kept of it, and that a large answer holds nothing else up."""

import asyncio
from typing import Any

import pytest

from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Step
from scenarios.domain.redaction import Redactor
from scenarios.engine.clock import SystemClock
from scenarios.engine.observations import Observation, judge, observe
from scenarios.engine.steps import StepRunner
from tests.fakes import NoServices, ScriptedDriver


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = {"a": found}
    return found


def judged(fields: dict[str, Any], expect: dict[str, Any]) -> Observation:
    return asyncio.run(judge(fields, Expectations(expect), Redactor(), is_sensitive=False))


def seen(answer: Any, expect: dict[str, Any], *, sensitive: bool) -> Observation:
    steps = StepRunner({"target": ScriptedDriver({"look": answer})}, NoServices(), SystemClock())
    step = Step("target", {"say": "look"}, sensitive)
    return asyncio.run(observe(steps, step, Expectations(expect), 5))


@pytest.mark.parametrize("query", ["$..*..*..*", "$[?$..*..*]..*", "$..[?@..*..*]"])
def test_a_query_that_visits_too_much_cannot_be_evaluated(query: str) -> None:
    with pytest.raises(StepImpossible, match="200,000"):
        judged({"json": deep(400)}, {"json": {query: {"count": 1}}})


def test_patterns_that_backtrack_elsewhere_take_linear_time() -> None:
    document = [{"text": "a" * 20_000 + "!", "pattern": "(a+)+$"}]
    for query in ("$[?match(@.text, '(a+)+$')]", "$[?search(@.text, @.pattern)]"):
        assert judged({"json": document}, {"json": {query: []}}).holds


def test_the_event_loop_goes_on_while_an_expensive_answer_is_compared() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def look() -> None:
        ticking = asyncio.create_task(tick())
        expect = Expectations({"json": {"$..*..*": {"count": 1}}})
        await judge({"json": deep(250)}, expect, Redactor(), is_sensitive=False)
        ticking.cancel()

    asyncio.run(look())
    assert ticks >= 2


def test_a_deep_answer_is_compared() -> None:
    assert judged({"json": deep(900)}, {"json": {"$": {"equals": deep(900)}}}).holds
    assert not judged({"json": deep(900)}, {"json": {"$": {"equals": deep(899)}}}).holds


def test_only_the_verdict_of_a_sensitive_response_is_kept() -> None:
    answer = {"status": 200, "body": "top secret"}
    assert seen(answer, {"body": {"contains": "top"}}, sensitive=True) == Observation(holds=True)
    missed = seen(answer, {"body": "other"}, sensitive=True)
    assert (missed.holds, dict(missed.fields)) == (False, {})
    assert "top" not in missed.reason
    assert seen(answer, {"body": "other"}, sensitive=False).fields["body"] == "top secret"


@pytest.mark.parametrize("error", [StepFailed("it answered top secret"), ValueError("top secret")])
def test_the_failure_of_a_sensitive_step_quotes_nothing(error: Exception) -> None:
    try:
        told = seen(error, {"body": "x"}, sensitive=True).reason
    except StepImpossible as impossible:
        told = str(impossible)
    assert "sensitive" in told
    assert "top secret" not in told
