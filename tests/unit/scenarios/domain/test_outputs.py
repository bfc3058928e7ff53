"""The output of a step is limited to what every database can store."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.outputs import KEPT_CHARACTERS, dump_json, limit_fields, make_storable, read_json

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3))
def test_any_result_of_a_driver_becomes_json_that_a_database_can_store(fields: dict[str, Any]) -> None:
    text = json.dumps(make_storable(limit_fields(fields)), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")


def test_output_is_limited_to_64_kib_with_a_count_of_the_rest() -> None:
    kept = limit_fields({f"field {index}": "x" * 100_000 for index in range(40)})
    assert len(json.dumps(kept)) < KEPT_CHARACTERS + 40 * 60
    assert kept["field 0"].endswith("more characters)")


@pytest.mark.parametrize(("value", "kept"), [(float("nan"), "nan"), ("a\0b", "a\ufffdb"), (b"x", "b'x'")])
def test_values_beyond_json_are_stored_as_text(value: Any, kept: str) -> None:
    assert make_storable({"value": value}) == {"value": kept}


def strictly(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinities_are_stored_as_text(number: float) -> None:
    written = dump_json({"a": [{"b": number}, 1.5]}, indent=2)
    assert strictly(written) == {"a": [{"b": repr(number)}, 1.5]}
    own = dump_json({"a": Own(number)}, default=lambda value: {"value": value.value})
    assert strictly(own) == {"a": {"value": repr(number)}}


@dataclass
class Own:
    value: float


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "[" * 100_000])
def test_read_json_refuses_nonstandard_json(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read_json(text)


def test_number_too_large_for_a_float_is_read_as_text() -> None:
    assert read_json("[1e999, -1e999, 1.5]") == ["1e999", "-1e999", 1.5]
