"""Tolerances of Chaos Toolkit experiments become expectations."""

from typing import Any

import pytest

from tests.unit.scenarios.language.experiments import HEALTHY, phases, translated

TOLERANCES: list[tuple[Any, dict[str, Any]]] = [
    (200, {"status": {"equals": 200}}),
    ([200, 201], {"status": {"in": [200, 201]}}),
    ({"type": "regex", "pattern": "^ok"}, {"body": {"matches": "^ok"}}),
    ({"type": "range", "range": [1, 5]}, {"json": {"$": {"between": [1, 5]}}}),
    ({"type": "jsonpath", "path": "$.a", "expect": ["x"]}, {"json": {"$.a": {"equals": "x"}}}),
    ({"type": "jsonpath", "path": "$.a", "expect": "x"}, {"json": {"$.a": {"equals": "x"}}}),
    ({"type": "jsonpath", "path": "$.a", "expect": []}, {"json": {"$.a": {"exists": False}}}),
    ({"type": "jsonpath", "path": "$.a"}, {"json": {"$.a": {"exists": True}}}),
    ({"type": "jsonpath", "path": "$.a", "count": 0}, {"json": {"$.a": {"exists": False}}}),
    ({"type": "jsonpath", "path": "$.a[*]", "expect": "x"}, {"json": {"$.a[*]": {"equals": ["x"]}}}),
    ({"type": "jsonpath", "path": "$.a[*]", "expect": ["x"]}, {"json": {"$.a[*]": {"equals": ["x"]}}}),
    ({"type": "jsonpath", "path": "$.a[*]", "expect": []}, {"json": {"$.a[*]": {"equals": []}}}),
    ({"type": "jsonpath", "path": "$.a[*]", "count": 3}, {"json": {"$.a[*]": {"count": 3}}}),
    ({"type": "jsonpath", "path": "$..a"}, {"json": {"$..a": {"exists": True}}}),
]


@pytest.mark.parametrize(("tolerance", "expect"), TOLERANCES)
def test_tolerance_becomes_an_expectation(tolerance: Any, expect: dict[str, Any]) -> None:
    hypothesis = {"title": "t", "probes": [{**HEALTHY, "tolerance": tolerance}]}
    document, left_out = translated(**{"steady-state-hypothesis": hypothesis})
    assert phases(document)["before"]["validations"][0]["expect"] == expect
    assert left_out == ()


@pytest.mark.parametrize(
    ("pattern", "expect"),
    [
        ("20.", {"between": [200, 209]}),
        ("^2", {"between": [200, 299]}),
        ("^(200|404)$", {"in": [200, 404]}),
        ("5$", {"in": [number for number in range(100, 600) if number % 10 == 5]}),
    ],
)
def test_pattern_for_a_status_becomes_the_matching_numbers_with_a_note(
    pattern: str, expect: dict[str, Any]
) -> None:
    tolerance = {"type": "regex", "target": "status", "pattern": pattern}
    document, (note,) = translated(method=[{**HEALTHY, "tolerance": tolerance}])
    assert phases(document)["method"]["validations"][0]["expect"] == {"status": expect}
    assert "compares a number as text" in note.message


OF_OUTPUTS = [
    ({"type": "jsonpath", "target": "stdout", "path": "$.a", "expect": 1}, {"json": {"$.a": {"equals": 1}}}),
    ({"type": "range", "target": "stdout", "range": [1, 5]}, {"json": {"$": {"between": [1, 5]}}}),
    ([0, 2], {"exit_code": {"in": [0, 2]}}),
]


@pytest.mark.parametrize(("tolerance", "expect"), OF_OUTPUTS)
def test_tolerance_of_a_process_checks_its_output(tolerance: Any, expect: dict[str, Any]) -> None:
    probe = {"type": "probe", "name": "p", "provider": {"type": "process", "path": "kubectl"}}
    document, left_out = translated(method=[{**probe, "tolerance": tolerance}])
    assert phases(document)["method"]["validations"][0]["expect"] == expect
    assert left_out == ()


def test_two_numbers_for_a_function_are_a_range() -> None:
    provider = {"type": "python", "module": "chaosaws.ec2", "func": "count"}
    probe = {"type": "probe", "name": "p", "provider": provider, "tolerance": [1, 5]}
    document, _ = translated(method=[probe])
    assert phases(document)["method"]["validations"][0]["expect"] == {"value": {"between": [1, 5]}}
