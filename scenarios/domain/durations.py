"""Durations as people write them: `500ms`, `1.5s`, `1h30m`."""

import re

MAX_DURATION = 365 * 86400.0
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
# Each unit at most once, the longest first; `m(?!s)` keeps `5ms` from being read as minutes.
DURATION_PATTERN = (
    rf"^(?=[0-9])(?:({_NUMBER})d)?(?:({_NUMBER})h)?(?:({_NUMBER})m(?!s))?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?$"
)
_DURATION = re.compile(DURATION_PATTERN.removesuffix("$") + r"\Z")
_MAX_TEXT_LENGTH = 64
_SECOND = 1_000_000  # in microseconds
_HINT = "write a number and a unit, such as '500ms', '2s' or '1h30m'"


def parse_duration(text: object) -> float:
    """Seconds.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"{text!r} is not a duration: {_HINT}")  # noqa: TRY004 - callers expect one type of error
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is a number without a unit, not a duration: {_HINT}")  # noqa: TRY004
    if not text:
        raise ValueError(f"'' is an empty duration: {_HINT}")
    match = _DURATION.match(text) if len(text) <= _MAX_TEXT_LENGTH else None
    if match is None:
        raise ValueError(
            f"{text[:_MAX_TEXT_LENGTH]!r} is not a duration: {_explain_broken_rule(text)}{_HINT}"
        )
    # Summed in milliseconds: 0.5s and 500ms are then the same number.
    amounts = zip(match.groups(), _UNITS.values(), strict=True)
    seconds = sum(float(amount) * (unit * 1000) for amount, unit in amounts if amount) / 1000
    if seconds > MAX_DURATION:
        raise ValueError(f"{text!r} is too long: a duration is at most 365d")
    return seconds


def _explain_broken_rule(text: str) -> str:
    if text.startswith("-"):
        return "it cannot be negative; "
    if re.fullmatch(_NUMBER, text):
        return "the unit is missing; "
    return ""


def format_duration(seconds: float) -> str:
    """The shortest notation, exact to the microsecond; `parse_duration` reads it back."""
    microseconds = round(seconds * _SECOND)
    if microseconds <= 0:
        return "0s"
    if microseconds < _SECOND:
        return f"{_format_amount(microseconds / 1000)}ms"
    minutes, rest = divmod(microseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{amount}{unit}" for amount, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if amount]
    if rest:
        parts.append(f"{_format_amount(rest / _SECOND)}s")
    return "".join(parts)


def _format_amount(amount: float) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".")
