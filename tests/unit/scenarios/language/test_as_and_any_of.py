"""The matcher `as: number`, and `any_of` in `expect`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Action, Phase
from scenarios.drivers.command import CommandArguments
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.language.document import parse_document
from tests.unit.scenarios.engine.engine_runs import carry_out, say

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n  phases:\n"
OK_OR_GONE = {"any_of": [{"status": 200, "json": {"$.state": "up"}}, {"status": 404}]}


def misses(expect: dict[str, Any], **fields: Any) -> str:
    return "; ".join(Expectations(expect).check(fields))


def refusal(expect: str, probe: str = "http: {service: s}") -> str:
    look = f"{{name: v, probe: {{{probe}}}, expect: {expect}}}"
    source = f"{HEAD}  - {{name: p, validations: [{look}]}}\n"
    try:
        parse_document(source, {"http": HttpArguments, "command": CommandArguments})
    except InvalidDocument as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("text", "matchers", "holds"),
    [
        ("42", {"below": 50}, True),
        (" 42.5\n", {"above": 42, "below": 43}, True),
        ("5", {"equals": 5}, True),
        ("5.0", {"equals": 5}, True),
        ("-1e3", {"between": [-1000, 0]}, True),
        (7, {"equals": 7}, True),
        ("42", {"below": 40}, False),
        ("many", {"below": 50}, False),
        ("", {}, False),
        ("NaN", {"below": 50}, False),
        ("inf", {"above": 1}, False),
        ("1e999", {"above": 1}, False),
        ("1_000", {"above": 1}, False),
        ("0x10", {"above": 1}, False),
        ("9" * 5_000, {"above": 1}, False),
        (True, {"equals": 1}, False),
        (["5"], {"equals": 5}, False),
        ("12", {}, True),
    ],
)
def test_text_is_read_as_a_number(text: Any, matchers: dict[str, Any], holds: bool) -> None:
    assert (misses({"stdout": {"as": "number", **matchers}}, stdout=text) == "") is holds


def test_other_text_does_not_match_and_the_reason_says_so() -> None:
    found = misses({"stdout": {"as": "number", "below": 50}}, stdout="many")
    assert found == "'stdout' is 'many', which cannot be read as a number"
    assert misses({"stdout": {"as": "number"}}) == "there is no 'stdout'"


def test_each_value_of_a_list_is_read_as_a_number() -> None:
    expect = {"json": {"$[*]": {"all": {"as": "number", "below": 5}}}}
    assert misses(expect, json=["1", "2.5"]) == ""
    assert "[1] is 7, not below 5" in misses(expect, json=["1", "7"])


def test_a_number_in_text_is_measured() -> None:
    expect = Expectations({"stdout": {"as": "number", "below": 50}})
    assert expect.read_number({"stdout": "42\n"}) == 42
    assert expect.read_number({"stdout": "many"}) is None


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_every_written_number_is_read_back(number: float) -> None:
    assert misses({"body": {"as": "number", "equals": number}}, body=f" {number}\n") == ""


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    found = misses({"body": {"as": "number"}}, body=text)
    assert found == "" or "cannot be read as a number" in found


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        ({"status": 200, "json": {"state": "up"}}, True),
        ({"status": 404}, True),
        ({"status": 200, "json": {"state": "down"}}, False),
        ({"status": 500}, False),
    ],
)
def test_one_of_several_expectations_must_hold(fields: dict[str, Any], holds: bool) -> None:
    assert (misses(OK_OR_GONE, **fields) == "") is holds


def test_the_reason_why_none_holds_names_each_of_them() -> None:
    found = misses(OK_OR_GONE, status=500, json={"state": "up"})
    assert found == (
        "none of the 2 expectations under 'any_of' holds: "
        "(1) 'status' is 500, not 200 (2) 'status' is 500, not 404"
    )


def test_fields_beside_any_of_must_hold_too() -> None:
    expect = {"any_of": [{"status": 200}, {"status": 404}], "elapsed": {"below": 1}}
    assert misses(expect, status=404, elapsed=0.5) == ""
    assert misses(expect, status=404, elapsed=2) == "'elapsed' is 2, not below 1"


FIELDS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), min_size=1, max_size=3)


@settings(deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=4), FIELDS)
def test_any_of_holds_exactly_if_one_expectation_does(alternatives: list[dict[str, int]], seen: Any) -> None:
    holds = any(misses(dict(expectation), **seen) == "" for expectation in alternatives)
    assert (misses({"any_of": alternatives}, **seen) == "") is holds


@pytest.mark.parametrize(
    ("field", "alternatives", "decides"),
    [("status", [{"status": 1}, {"status": 2}], True), ("status", [{"status": 1}, {"body": "x"}], False)],
)
def test_any_of_decides_whether_an_action_was_done_if_each_expectation_names_the_field(
    field: str, alternatives: Any, decides: bool
) -> None:
    assert Expectations({"any_of": alternatives}).names(field) is decides
    assert Expectations({field: 1}).names(field)
    assert not Expectations({"other": 1}).names(field)


def test_an_action_that_meets_one_of_its_expectations_has_passed() -> None:
    action = Action("a", do=say("act"), expect=Expectations({"any_of": [{"status": 200}, {"status": 404}]}))
    verdict, _journal, _driver = carry_out(Phase("p", actions=(action,)), answers={"act": {"status": 404}})
    assert verdict.outcome == "passed"


COMMAND = "command: {run: [tc]}"


@pytest.mark.parametrize(
    ("expect", "probe", "message"),
    [
        ("{body: {as: number, below: 50}}", "http: {service: s}", ""),
        ("{any_of: [{status: 200}, {body: {as: number, above: 1}}]}", "http: {service: s}", ""),
        ("{body: {as: text}}", "http: {service: s}", "'text' is not allowed: it must be 'number'"),
        ("{body: {ass: number}}", "http: {service: s}", "unknown key 'ass'"),
        ("{status: {as: number}}", "http: {service: s}", "but 'status' is a whole number (remove it)"),
        ("{body: {as: number, equals: '5'}}", "http: {service: s}", "can never equal '5'"),
        ("{body: {as: number, matches: '5'}}", "http: {service: s}", "'matches' can never hold here"),
        ("{json: {'$[*]': {as: number, all: 5}}}", "http: {service: s}", "write 'as' under 'all'"),
        ("{any_of: []}", "http: {service: s}", "an empty list is not allowed: it must have at least 1 entry"),
        ("{any_of: [{}]}", "http: {service: s}", "'expect' is empty"),
        ("{any_of: [{status: 200}, {statu: 1}]}", "http: {service: s}", "'http' does not return 'statu'"),
        (
            "{any_of: [{any_of: [{status: 1}]}]}",
            "http: {service: s}",
            "'any_of' cannot be nested in 'any_of'",
        ),
        ("{any_off: [{status: 200}]}", "http: {service: s}", "did you mean 'any_of'"),
    ],
)
def test_invalid_expectation_is_refused_at_its_place(expect: str, probe: str, message: str) -> None:
    refused = refusal(expect, probe)
    assert message in refused
    assert refused.startswith("line 6, ") is bool(message)


def test_patterns_under_any_of_count_towards_the_limit() -> None:
    many = ", ".join(f"{{body: {{matches: 'a{number}'}}}}" for number in range(101))
    assert "more than 100 different regular expressions" in refusal(f"{{any_of: [{many}]}}")


def test_the_json_of_a_command_is_compared() -> None:
    expect = {"json": {"$.free": {"above": 5}}}
    assert misses(expect, stdout="{}", json=json.loads('{"free": 7}')) == ""
