"""Sizes, rates, shares and multiples as people write them: `4KiB`, `20KiB/s`, `20%`, `1.5x`."""

import math
import re

MAX_SIZE = 1 << 40
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
# Without "|", which would end a cell of a table in Markdown.
SIZE_PATTERN = rf"^({_NUMBER}) ?((?:[KMG]i?)?B)$"
RATE_PATTERN = SIZE_PATTERN.replace("$", "/s$")
PERCENT_PATTERN = rf"^({_NUMBER})%$"
MULTIPLE_PATTERN = rf"^({_NUMBER})x$"
_MAX_TEXT_LENGTH = 64
_SIZE_HINT = "write a number and a unit, such as '512B', '4KiB' or '1.5MB'"
_RATE_HINT = "write a size for each second, such as '20KiB/s'"
_MULTIPLE_HINT = "write a number above 0 and an 'x', such as '1.5x' or '2x'"
_SHARE_HINT = "write a number above 0 and up to 1, such as 0.2, or a percentage, such as '20%'"


def parse_size(text: object) -> int:
    """Bytes.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    return _parse(text, SIZE_PATTERN, "size", _SIZE_HINT)


def parse_rate(text: object) -> int:
    """Bytes per second, at least 1.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    rate = _parse(text, RATE_PATTERN, "rate", _RATE_HINT)
    if rate < 1:
        raise ValueError(f"{text!r} is too slow: a rate is at least 1B/s; use 'hang' to let nothing pass")
    return rate


def parse_share(value: object) -> float:
    """A number above 0 and up to 1.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    if isinstance(value, str):
        found = _match(PERCENT_PATTERN, value)
        share = float(found[1]) / 100 if found else 0.0
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        share = 0.0
    if not 0 < share <= 1:
        raise ValueError(f"{_quote(value)} is not a share: {_SHARE_HINT}")
    return share


def parse_multiple(text: object) -> float:
    """How many times something may be had, above 0: 1.5 for '1.5x'.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    found = _match(MULTIPLE_PATTERN, text) if isinstance(text, str) else None
    multiple = float(found[1]) if found else 0.0
    if multiple <= 0:
        raise ValueError(f"{_quote(text)} is not a multiple: {_MULTIPLE_HINT}")
    return multiple


def format_share(share: float) -> str:
    """As `99.5%`; rounded down, because 99.999% is not all."""
    return f"{math.floor(share * 10_000 + 1e-6) / 100:g}%"


def _parse(text: object, pattern: str, what: str, hint: str) -> int:
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise ValueError(f"{text!r} is a number without a unit, not a {what}: {hint}")  # noqa: TRY004 - callers expect one type of error
    found = _match(pattern, text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{_quote(text)} is not a {what}: {hint}")
    amount = round(float(found[1]) * _UNITS[found[2]])
    if amount > MAX_SIZE:
        raise ValueError(
            f"{text!r} is too large: a {what} is at most 1024GiB{'/s' if what == 'rate' else ''}"
        )
    return amount


def _match(pattern: str, text: str) -> re.Match[str] | None:
    # `$` also matches before a line break at the end; the JSON Schema needs it.
    return re.match(pattern.removesuffix("$") + r"\Z", text) if len(text) <= _MAX_TEXT_LENGTH else None


def _quote(value: object) -> str:
    return repr(value[:_MAX_TEXT_LENGTH]) if isinstance(value, str) else repr(value)
