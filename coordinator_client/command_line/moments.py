"""Moments that a person gives, as a time or as how long ago it was; and durations."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_DURATION = re.compile(r"(?:[0-9]{1,6}[smhd])+")
_AMOUNT = re.compile(r"([0-9]+)([smhd])")


def parse_moment(text: str) -> datetime:
    """An aware time from RFC 3339, from a date, or from `90m` (ago). Without a zone it is UTC.

    Raises:
        ArgumentTypeError: it is neither, or too long ago.
    """
    try:
        if found := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"invalid time {text!r}; write it as 2026-01-01T12:00:00Z or 2026-01-01, "
            "or how long ago it was, as 90m, 24h or 7d"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_timeout(text: str) -> float:
    """Seconds, from `30` or from a duration.

    Raises:
        ArgumentTypeError: it is neither, or it is zero.
    """
    return parse_duration(f"{text}s" if text.isascii() and text.isdecimal() else text)


def parse_duration(text: str) -> float:
    """Seconds, from `90s`, `10m` or `1h30m`.

    Raises:
        ArgumentTypeError: it is not a duration, or it is zero.
    """
    amounts = _AMOUNT.findall(text) if _DURATION.fullmatch(text) else []
    seconds = sum((timedelta(**{UNITS[unit]: int(amount)}) for amount, unit in amounts), timedelta())
    if not seconds:
        raise ArgumentTypeError(f"invalid duration {text!r}; write it as 90s, 10m or 1h30m")
    return seconds.total_seconds()
