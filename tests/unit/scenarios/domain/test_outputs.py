"""What is kept of a step's output can be kept by every database."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.outputs import KEPT_CHARACTERS, bounded, storable

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3))
def test_whatever_a_driver_returns_becomes_json_that_a_database_keeps(fields: dict[str, Any]) -> None:
    text = json.dumps(storable(bounded(fields)), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in text
    text.encode("utf-8")


def test_at_most_64_kib_of_a_step_are_kept_and_what_was_cut_is_counted() -> None:
    kept = bounded({f"field {index}": "x" * 100_000 for index in range(40)})
    assert len(json.dumps(kept)) < KEPT_CHARACTERS + 40 * 60
    assert kept["field 0"].endswith("more characters)")


@pytest.mark.parametrize(("value", "kept"), [(float("nan"), "nan"), ("a\0b", "a\ufffdb"), (b"x", "b'x'")])
def test_what_json_cannot_hold_is_kept_as_text(value: Any, kept: str) -> None:
    assert storable({"value": value}) == {"value": kept}
