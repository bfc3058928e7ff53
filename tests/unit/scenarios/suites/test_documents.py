"""Suites are read as scenarios are: everything that is wrong has its line, column, rule and hint."""

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from scenarios.domain.errors import InvalidDocument
from scenarios.drivers.platform import fault_arguments, step_arguments
from scenarios.suites.documents import describe_suites, is_suite, parse_suite
from tests.unit.scenarios.suites.suite_texts import KNOWN, SHOP, parse

WRONG = {
    "unknown service": ("cache, kind", "cahce, kind", "unknown service 'cahce'", "did you mean 'cache'?"),
    "unknown service in a probe": (
        "http: {service: shop,",
        "http: {service: shpo,",
        "unknown service 'shpo'",
        "did you mean 'shop'?",
    ),
    "unknown host": (
        "must: fail}",
        "must: fail, host: shop-2}",
        "unknown host 'shop-2'",
        "did you mean 'shop-1'?",
    ),
    "unknown kind": ("kind: redis", "kind: rediss", "'rediss' is not allowed", "did you mean 'redis'?"),
    "unknown must": ("must: fail", "must: fial", "'fial' is not allowed", "did you mean 'fail'?"),
    "unknown fault": (
        "must: fail}",
        "must: fail, faults: [slwo]}",
        "'slwo' is not allowed",
        "did you mean 'slow'?",
    ),
    "unknown word": (
        "recover_within",
        "recover_witin",
        "unknown key 'recover_witin'",
        "did you mean 'recover_within'?",
    ),
    "unknown argument": (
        "path: /price}}, ex",
        "pth: /price}}, ex",
        "unknown key 'pth'",
        "did you mean 'path'?",
    ),
    "kind of document": ("kind: Suite", "kind: Suit", "'Suit' is not allowed", "did you mean 'Suite'?"),
    "duration": ("fresh_for: 30d", "fresh_for: 30", "30 is a number without a unit", ""),
    "fault of another kind": (
        "must: survive}",
        "must: survive, faults: [slow, locked]}",
        "'locked' cannot be injected in 'redis', only in postgresql",
        "remove it",
    ),
    "variable": ("path: /price}}, ex", "path: '/${item}'}}, ex", "'${item}' is undefined", ""),
    "variable of a scenario": (
        "must: fail}",
        "must: fail, variables: {latency: 2s, tabel: prices}}",
        "unknown variable 'tabel'",
        "did you mean 'table'?",
    ),
    "variable of a scenario that is not tried": (
        "must: fail}",
        "must: fail, faults: [slow], variables: {table: prices}}",
        "unknown variable 'table'",
        "choose one of latency",
    ),
    "variable that the suite replaces": (
        "must: fail}",
        "must: fail, variables: {max_status: 500}}",
        "unknown variable 'max_status'",
        "",
    ),
    "variable that the suite sets": (
        "must: fail}",
        "must: fail, variables: {host: shop-1}}",
        "the suite itself sets the variable 'host'",
        "write 'host' of the dependency instead",
    ),
    "dependency twice": ("service: cache", "service: shop-db", "'shop-db' is listed twice", "line 9"),
    "few samples": (
        "load: {rate: 20/s,",
        "load: {rate: 2/s, expect: {p95: {at_most: 1s}},",
        "'p95' needs at least 20 requests, and 'hold' of 5s at 2/s has 10",
        "",
    ),
    "driver that cannot send a load": (
        "request: {http: {service: shop, path: /price}}",
        "request: {wait: {duration: 1s}}",
        "a load cannot use 'wait'",
        "",
    ),
}


def find_place(text: str, part: str) -> tuple[int, int]:
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(("old", "new", "rule", "hint"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_reported_at_its_line_with_its_rule_and_a_hint(
    old: str, new: str, rule: str, hint: str
) -> None:
    assert old in SHOP
    text = SHOP.replace(old, new, 1)
    with pytest.raises(InvalidDocument) as refused:
        parse(text)
    found = [problem for problem in refused.value.problems if rule in problem.message]
    assert len(found) == 1, refused.value
    assert hint in found[0].hint
    changed = next(
        number for number, line in enumerate(text.splitlines(), 1) if line not in SHOP.splitlines()
    )
    assert found[0].line == changed


def test_the_column_is_that_of_the_value() -> None:
    text = SHOP.replace("service: cache", "service: cahce")
    with pytest.raises(InvalidDocument) as refused:
        parse(text)
    (problem,) = refused.value.problems
    assert (problem.line, problem.column) == find_place(text, "cahce")


def test_an_unknown_variable_is_reported_at_its_name_unless_a_scenario_is_not_stored() -> None:
    text = SHOP.replace("must: fail}", "must: fail, variables: {tabel: prices}}")
    with pytest.raises(InvalidDocument) as refused:
        parse(text)
    (problem,) = refused.value.problems
    assert (problem.line, problem.column) == find_place(text, "tabel")
    less = {name: known for name, known in KNOWN.variables.items() if name != "dependency-slow"}
    parse_suite(text, step_arguments(), fault_arguments(), known=replace(KNOWN, variables=less))


def test_all_mistakes_are_found_in_one_pass() -> None:
    text = SHOP.replace("kind: redis", "kind: rediss").replace("service: shop-db", "service: shpo-db")
    with pytest.raises(InvalidDocument) as refused:
        parse(text)
    assert [problem.line for problem in refused.value.problems] == [9, 10]


def test_the_example_of_the_design_is_valid_and_durations_of_elapsed_are_seconds() -> None:
    document = parse()
    assert document.healthy["expect"] == {"status": 200, "elapsed": {"below": 0.5}}
    assert document.spec.recover_within == 10
    assert document.spec.fresh_for == 30 * 86_400


def test_a_suite_may_use_secrets_in_steps_only() -> None:
    inside = SHOP.replace("path: /price}}, ex", "path: /price, headers: {X: '${secret:KEY}'}}}, ex")
    parse(inside)
    with pytest.raises(InvalidDocument, match="is outside a step"):
        parse(SHOP.replace("status: 200", "body: '${secret:KEY}'"))


def test_scenarios_and_suites_are_distinguished() -> None:
    assert is_suite(SHOP)
    assert is_suite(json.dumps(yaml.safe_load(SHOP)))
    assert not is_suite(SHOP.replace("kind: Suite", "kind: Scenario"))
    assert not is_suite("kind: Suite: [")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = describe_suites()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_json_schema_accepts_the_example(validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(yaml.safe_load(SHOP))) == []


@pytest.mark.parametrize(
    "mistake",
    ["unknown kind", "unknown must", "unknown fault", "unknown word", "unknown argument", "duration"],
)
def test_the_json_schema_refuses_the_same_mistakes(mistake: str, validator: Draft202012Validator) -> None:
    old, new, *_ = WRONG[mistake]
    document: Any = yaml.safe_load(SHOP.replace(old, new, 1))
    assert list(validator.iter_errors(document))
