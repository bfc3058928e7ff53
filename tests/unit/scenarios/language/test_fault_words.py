"""`fault` in actions: a fault driver's own words, instead of `do`, `undo` and `undone`."""

from typing import Annotated, Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, Field

from scenarios.domain.declarations import Declaration, PositiveDuration
from scenarios.domain.errors import InvalidDocument
from scenarios.domain.plan import Action, FaultOperation
from scenarios.language.document import build_plan, parse_document
from scenarios.language.schema import json_schema

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: slow-database}}
spec:
  variables:
    delay: {{type: duration, default: 300ms}}
  phases:
    - name: break
      actions:
        - name: slow
          {action}
"""


class Look(Declaration):
    service: str


class Slow(Declaration):
    service: Annotated[str, Field(min_length=1)]
    latency: PositiveDuration


DRIVERS: dict[str, type[BaseModel]] = {"look": Look}
FAULTS: dict[str, type[BaseModel]] = {"proxy": Slow}
GOOD = "fault: {proxy: {service: shop-db, latency: '${delay}'}}"


def read_action(words: str) -> Action:
    document = parse_document(DOCUMENT.format(action=words), DRIVERS, FAULTS)
    return build_plan(document, {}).phases[0].actions[0]


def find_problems(words: str) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        read_action(words)
    return [str(problem) for problem in caught.value.problems]


def test_a_fault_becomes_an_action_with_its_undo_and_its_proof() -> None:
    action = read_action(GOOD)
    assert action.is_driven_fault
    assert [step.operation for step in action.steps()] == [
        FaultOperation.INJECT,
        FaultOperation.REMOVE,
        FaultOperation.LOOK,
    ]
    assert {step.driver for step in action.steps()} == {"proxy"}
    assert all(step.arguments == {"service": "shop-db", "latency": "300ms"} for step in action.steps())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("fault: {proxy: {service: shop-db}}", "'latency' is missing"),
        ("fault: {proxy: {service: shop-db, latency: fast}}", "'fast'"),
        ("fault: {proxi: {service: shop-db, latency: 1s}}", "did you mean 'proxy'?"),
        (
            "fault: {look: {service: shop-db}}",
            "unknown fault driver 'look'; choose one of proxy (write it under 'do'",
        ),
        ("fault: {}", "the fault has no driver; choose one of proxy"),
        ("fault:", "line 12"),
        ("timeout: 3s", "the action has no 'do' and no 'fault'"),
        (GOOD + "\n          do: {look: {service: shop}}", "'fault' and 'do' cannot be combined"),
        (GOOD + "\n          undo: {look: {service: shop}}", "'fault' and 'undo' cannot be combined"),
        (
            GOOD + "\n          undone: {probe: {look: {service: a}}, expect: {status: 200}}",
            "'fault' and 'undone' cannot be combined",
        ),
        (GOOD + "\n          expect: {status: 200}", "'fault' and 'expect' cannot be combined"),
        (
            "do: {proxy: {service: shop-db, latency: 1s}}",
            "choose one of look (write it under 'fault', because",
        ),
    ],
)
def test_senseless_fault_is_refused_at_its_line(words: str, sentence: str) -> None:
    problems = find_problems(words)
    assert any(sentence in problem for problem in problems), problems
    assert all(problem.startswith("line ") for problem in problems)


@pytest.mark.parametrize(
    ("words", "is_valid"),
    [
        (GOOD, True),
        ("do: {look: {service: shop}}", True),
        (GOOD + "\n          do: {look: {service: shop}}", False),
        (GOOD + "\n          undo: {look: {service: shop}}", False),
        ("timeout: 3s", False),
        ("fault: {}", False),
    ],
)
def test_the_schema_says_the_same(words: str, is_valid: bool) -> None:
    schema = json_schema(DRIVERS, FAULTS)
    document: Any = yaml.safe_load(DOCUMENT.format(action=words))
    assert jsonschema.Draft202012Validator(schema).is_valid(document) is is_valid
