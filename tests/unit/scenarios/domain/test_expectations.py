"""Expectations: what meets them, and the sentences for mismatches."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.domain.expectations import Expectations, QueryTooLargeError


def series(*values: Any) -> dict[str, Any]:
    """As the driver prometheus returns them."""
    samples = [{"metric": {"pod": f"p{index}"}, "value": value} for index, value in enumerate(values)]
    fields: dict[str, Any] = {"values": [*values], "samples": samples}
    return {"value": values[0], **fields} if len(values) == 1 else fields


NO_SERIES, ONE_SERIES, MANY_SERIES = series(), series(1), series(1, 2)
HOLDS = [
    ({"status": 200}, {"status": 200}),
    ({"status": {"equals": 200.0}}, {"status": 200}),
    ({"status": {"not": 500}}, {"status": 200}),
    ({"status": {"in": [200, 201]}}, {"status": 201}),
    ({"status": {"not_in": [500]}}, {"status": 201}),
    ({"elapsed": {"above": 0.4, "below": 0.6}}, {"elapsed": 0.5}),
    ({"n": {"at_least": 3, "at_most": 3}}, {"n": 3}),
    ({"n": {"between": [1, 3]}}, {"n": 3}),
    ({"body": {"matches": "^o.k"}}, {"body": "o-k!"}),
    ({"body": {"contains": "b"}}, {"body": "abc"}),
    ({"values": {"contains": 2}}, {"values": [1, 2]}),
    ({"value": {"contains": "key"}}, {"value": {"key": 1}}),
    ({"value": {"exists": True}}, {"value": None}),
    ({"value": {"exists": False}}, {}),
    ({"value": None}, {"value": None}),
    ({"value": [1, {"a": True}]}, {"value": [1, {"a": True}]}),
    ({"json": {"$.a.b": 1}}, {"json": {"a": {"b": 1}}}),
    ({"json": {"$.a[*].b": [1, 2]}}, {"json": {"a": [{"b": 1}, {"b": 2}]}}),
    ({"json": {"$.a[*].b": [1]}}, {"json": {"a": [{"b": 1}]}}),
    ({"json": {"$.a[*].b": []}}, {"json": {"a": []}}),
    ({"json": {"$.a[*].b": {"count": 0}}}, {"json": {}}),
    ({"json": {"$.a[*].b": {"exists": False}}}, {"json": {"a": []}}),
    ({"json": {"$..b": {"exists": True}}}, {"json": {"a": [{"b": None}]}}),
    ({"json": {"$.a": []}}, {"json": {"a": []}}),
    ({"json": {"$.a[0].b": 1}}, {"json": {"a": [{"b": 1}]}}),
    ({"json": {"$['a'][-1]": {"contains": "x"}}}, {"json": {"a": ["xyz"]}}),
    ({"json": {"$.a[*]": {"contains": "x"}}}, {"json": {"a": ["x"]}}),
    ({"json": {"$.a[?@ > 1]": {"all": {"above": 1}, "count": {"at_least": 2}}}}, {"json": {"a": [1, 2, 3]}}),
    ({"values": {"all": {"below": 3}}}, {"values": [1, 2]}),
    ({"values": {"any": 2}}, {"values": [1, 2]}),
    ({"values": {"count": 2}}, {"values": [1, 2]}),
    ({"values": {"all": {"all": {"above": 0}}}}, {"values": [[1], [2, 3]]}),
    ({"value": {"all": {"below": 3}, "count": 2}}, MANY_SERIES),
    ({"value": {"any": {"above": 1}}}, MANY_SERIES),
    ({"value": {"count": 0}}, NO_SERIES),
    ({"value": {"exists": False}}, NO_SERIES),
    ({"value": {"below": 3, "all": {"below": 3}}}, ONE_SERIES),
    ({"json": {"$.gone": {"exists": False}}}, {"json": {}}),
    ({"json": {"$": 5}}, {"json": 5}),
    ({"headers": {"content-type": {"contains": "json"}}}, {"headers": {"Content-Type": "application/json"}}),
]


@pytest.mark.parametrize(("wanted", "fields"), HOLDS)
def test_met_expectation_has_no_mismatch(wanted: dict[str, Any], fields: dict[str, Any]) -> None:
    assert Expectations(wanted).check(fields) == ()


MISSES = [
    ({"status": 200}, {"status": 503}, "'status' is 503, not 200"),
    ({"status": 200}, {}, "there is no 'status'"),
    ({"status": {"above": 3}}, {}, "there is no 'status'"),
    (
        {"status": {"above": 3}},
        {"status": "4"},
        "'status' is '4', which is not a number and cannot be above 3",
    ),
    (
        {"status": {"above": 3}},
        {"status": True},
        "'status' is true, which is not a number and cannot be above 3",
    ),
    ({"n": {"between": [1, 3]}}, {"n": None}, "'n' is null, which is not a number"),
    ({"n": {"between": [1, 3]}}, {"n": 4}, "'n' is 4, not between 1 and 3"),
    ({"n": 1}, {"n": True}, "'n' is true, not 1"),
    ({"n": [1]}, {"n": [True]}, "not [1]"),
    ({"n": {"not": 1}}, {"n": 1}, "'n' must not be 1"),
    ({"n": {"in": [0, 1]}}, {"n": True}, "not one of [0, 1]"),
    ({"n": {"not_in": [0, 1]}}, {"n": 1}, "'n' is 1, but must not be one of [0, 1]"),
    ({"n": {"at_least": 2}}, {"n": 1}, "'n' is 1, not at least 2"),
    ({"n": {"below": 2}}, {"n": 2}, "'n' is 2, not below 2"),
    ({"n": {"at_most": 2}}, {"n": 3}, "'n' is 3, not at most 2"),
    ({"b": {"matches": "x"}}, {"b": "abc"}, "'b' is 'abc', which does not match 'x'"),
    ({"b": {"matches": "x"}}, {"b": 5}, "'b' is 5, which is not text and cannot match 'x'"),
    ({"b": {"contains": "x"}}, {"b": "abc"}, "does not contain 'x'"),
    ({"b": {"contains": 1}}, {"b": [True]}, "which does not contain 1"),
    ({"b": {"contains": []}}, {"b": {"a": 1}}, "has no key []"),
    ({"b": {"contains": 1}}, {"b": 1}, "cannot contain 1"),
    ({"b": {"exists": False}}, {"b": 1}, "'b' must not exist"),
    ({"json": {"$.a": 1}}, {}, "there is no JSON at '$.a'"),
    ({"json": {"$.a": 1}}, {"json": {"b": 1}}, "there is no JSON at '$.a'"),
    ({"json": {"$.a": 1}}, {"json": "text"}, "there is no JSON at '$.a'"),
    ({"headers": {"X-A": 1}}, {"headers": {}}, "there is no header 'X-A'"),
    ({"headers": {"X-A": 1}}, {}, "there is no header 'X-A'"),
    ({"json": {"$.a[*].b": 1}}, {"json": {"a": [{"b": 1}]}}, "JSON at '$.a[*].b' is [1], not 1"),
    (
        {"json": {"$.a[*]": {"contains": "b-1"}}},
        {"json": {"a": ["b-10"]}},
        "[\"b-10\"], which does not contain 'b-1'",
    ),
    ({"json": {"$..a": {"exists": True}}}, {"json": {}}, "there is no JSON at '$..a'"),
    ({"json": {"$.error": {"exists": False}}}, {"body": "<p>"}, "the returned text is not JSON"),
    ({"json": {"$.errors[*]": {"exists": False}}}, {"body": "<p>"}, "the returned text is not JSON"),
    ({"json": {"$.errors[*]": {"count": 0}}}, {"body": "<p>"}, "the returned text is not JSON"),
    ({"json": {"$..a": {"exists": False}}}, {"json": {"a": 1}}, "must not exist, but it is [1]"),
    ({"json": {"$..a": []}}, {}, "there is no JSON at '$..a'"),
    ({"json": {"$..a": {"all": {"above": 1}}}}, {"json": {}}, "has no values, so 'all' does not hold"),
    ({"n": {"all": {"above": 1}}}, {"n": 5}, "'n' is 5, not a list"),
    (
        {"n": {"all": {"above": 1}}},
        {"n": [0, 2, 1, 0, 0, 0]},
        "5 of 6 values of 'n' do not match: [0] is 0, not above 1; [2] is 1, not above 1; [3] is 0",
    ),
    (
        {"n": {"any": 3}},
        {"n": [1, 2]},
        "none of the 2 values of 'n' matches: [0] is 1, not 3; [1] is 2, not 3",
    ),
    ({"n": {"count": {"at_least": 3}}}, {"n": [1]}, "the number of values of 'n' is 1, not at least 3"),
    (
        {"value": {"below": 3}},
        series(0, 1, 2, 3, 4),
        'the query found 5 series, {pod="p0"} is 0, {pod="p1"} is 1, {pod="p2"} is 2 and 2 more',
    ),
    ({"value": {"exists": False}}, MANY_SERIES, "the query found 2 series"),
    (
        {"value": {"lt": 3}},
        MANY_SERIES,
        "aggregate them in the query, for example with 'max(…)', or check all of them with 'all', 'any'",
    ),
    ({"value": {"below": 3}}, NO_SERIES, "there is no 'value'"),
    (
        {"value": {"all": {"below": 3}}},
        series(0, 5),
        "1 of 2 values of 'value' do not match: {pod=\"p1\"} is 5, not below 3",
    ),
    ({"value": {"all": {"below": 3}}}, NO_SERIES, "has no values"),
    ({"elapsed": {"below": 1}}, {"elapsed": 1.0211380170003395}, "'elapsed' is 1.021, not below 1"),
    ({"elapsed": {"below": 1}}, {"elapsed": 1.00000001}, "'elapsed' is 1.00000001, not below 1"),
    ({"elapsed": {"above": 1}}, {"elapsed": 0.01234567}, "'elapsed' is 0.0123, not above 1"),
    ({"n": 0.3}, {"n": 0.1 + 0.2}, "'n' is 0.30000000000000004, not 0.3"),
    ({"n": [1]}, {"n": {"a": [1.23456789]}}, "'n' is {\"a\": [1.235]}, not [1]"),
]


@pytest.mark.parametrize(("wanted", "fields", "sentence"), MISSES)
def test_mismatch_is_one_sentence(wanted: dict[str, Any], fields: dict[str, Any], sentence: str) -> None:
    (miss,) = Expectations(wanted).check(fields)
    assert sentence in miss


def test_every_failing_matcher_is_reported() -> None:
    misses = Expectations({"n": {"above": 3, "not": 1, "below": 2}, "m": 1}).check({"n": 1})
    assert misses == ("'n' is 1, not above 3", "'n' must not be 1", "there is no 'm'")


@pytest.mark.parametrize("nan", ["NaN", float("nan")])
@pytest.mark.parametrize(("matcher", "compared"), [({"not": 0}, "0"), ({"not_in": ["a", 0]}, '["a", 0]')])
def test_nan_does_not_prove_that_a_number_differs(nan: Any, matcher: dict[str, Any], compared: str) -> None:
    (miss,) = Expectations({"value": matcher}).check(series(nan))
    assert miss == f"'value' is NaN and cannot be compared with {compared}"


def test_nan_differs_from_text_and_is_found_by_its_name() -> None:
    assert Expectations({"value": {"not": "+Inf", "in": ["NaN"]}}).check(series("NaN")) == ()
    assert Expectations({"value": {"not": "NaN"}}).check(series("NaN")) == ("'value' must not be 'NaN'",)


def test_list_with_more_values_than_the_budget_raises_instead_of_blocking() -> None:
    response = {"json": [1] * 250_000}
    with pytest.raises(QueryTooLargeError):
        Expectations({"json": {"$[*]": {"count": 250_000}}}).check(response)
    assert Expectations({"json": {"$[0]": 1}}).check(response) == ()


@pytest.mark.parametrize("long", ["x" * 10_000_000, list(range(1_000_000)), {"k": "x" * 1_000_000}])
def test_long_value_is_shortened_in_sentences(long: Any) -> None:
    (miss,) = Expectations({"body": 1}).check({"body": long})
    assert len(miss) < 300
    assert "…" in miss


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
MATCHERS = st.sampled_from(
    [{"above": 3}, {"between": [0, 1]}, {"matches": "a+"}, {"contains": "x"}, {"in": [1]}, {"not": None}, 5]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(value=JSON, matchers=MATCHERS)
def test_matchers_handle_any_value(value: Any, matchers: Any) -> None:
    wanted = {"value": matchers, "json": {"$..a": matchers}, "headers": {"a": matchers}}
    fields = {"value": value, "json": value, "headers": value}
    assert all(isinstance(miss, str) for miss in Expectations(wanted).check(fields))
