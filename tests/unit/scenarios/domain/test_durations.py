"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.domain.durations import MAX_DURATION, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2),
        ("1.5s", 1.5),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("1m500ms", 60.5),
        ("0s", 0),
    ],
)
def test_parse_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["5", 5, 1.5, "-5s", "", "5 s", "30m1h", "1h1h", "s", "5S", "٣s", "1e3s", "5s\n"]
)
def test_invalid_durations_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="write a number and a unit") as refusal:
        parse_duration(value)
    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize("value", [None, True, [], {}])
def test_error_shows_a_value_that_is_not_text(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)


@pytest.mark.parametrize("text", ["366d", "9" * 60 + "d"])
def test_duration_over_a_year_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 365d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.5, "500ms"),
        (0.0001, "0.1ms"),
        (1.5, "1.5s"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (86400, "1d"),
    ],
)
def test_format_duration_uses_the_shortest_notation(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=MAX_DURATION, allow_nan=False))
def test_formatted_duration_parses_back_to_the_microsecond(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.text() | st.from_regex(r"[0-9.dhms-]{0,80}", fullmatch=True))
def test_parser_handles_any_text(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) <= MAX_DURATION
    except ValueError as refusal:
        assert "duration" in str(refusal)  # noqa: PT017 - either outcome is fine
