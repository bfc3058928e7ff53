"""The parts of a key are the same however many keys that differ in a bucket's bound were parsed before."""

import json
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_app.adapters.prometheus.files import ParsedKeys, UnreadableFileError, parsed

texts = st.sampled_from(
    ["a", "le", '"le": "', '{"le": "1"}', "ä", '"', "\\", "\n", "\ud800", "0.5", "{}", ""]
)
bounds = st.sampled_from(["0.1", "1", "10", "+Inf", "1e+06", "NaN", "", 'a"', "x\\", "ü", '", "le": "2'])
labels = st.dictionaries(texts, texts, max_size=2)


@st.composite
def families(draw: st.DrawFn) -> list[bytes]:
    """Keys that have all but the bound in common."""
    metric, sample, help_text, others = draw(texts), draw(texts), draw(texts), draw(labels)
    found = draw(st.lists(bounds, min_size=1, max_size=4))
    sort = draw(st.booleans())
    return [
        json.dumps([metric, sample, {**others, "le": bound}, help_text], sort_keys=sort).encode()
        for bound in found
    ]


@given(st.lists(families(), min_size=1, max_size=3))
@settings(deadline=None)
def test_keys_are_parsed_as_one_by_one(of_families: list[list[bytes]]) -> None:
    keys = ParsedKeys()
    for key in chain.from_iterable(of_families):
        assert keys[key] == parsed(key)
        assert type(keys[key]) is type(parsed(key))


FOREIGN = [
    '["a", "b", {"le": "1", "le": "BOUND"}, "h"]',
    '["a", "b", {"le": "BOUND", "le": "1"}, "h"]',
    '["a", "b", {"le": "BOUND", "l\\u0065": "1"}, "h"]',
    '["a", "b", {"le": "BOUND", "x": 1}, "h"]',
    '["a", "b", {"x": {"le": "BOUND"}}, "h"]',
    '[{"le": "BOUND"}, "b", {}, "h"]',
    '["a", "b", {"le": "BOUND"}, "h"] ',
    '["a", "b", {"le": "BOUND"}, "h", 1]',
]


@pytest.mark.parametrize("form", FOREIGN)
def test_keys_of_other_programs_are_parsed_as_one_by_one(form: str) -> None:
    keys = ParsedKeys()
    for bound in ("0.1", "1", "0.5", "0.10"):
        key = form.replace("BOUND", bound).encode()
        try:
            expected = parsed(key)
        except UnreadableFileError:
            with pytest.raises(UnreadableFileError):
                keys[key]
        else:
            assert keys[key] == expected
