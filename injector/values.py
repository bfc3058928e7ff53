"""The values of faults as in the control API: durations in seconds, sizes in bytes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

MAX_SECONDS = 3600.0
MAX_BYTES = 1 << 40

Parser = Callable[[str, object], Any]


class FaultError(ValueError):
    """A fault that makes no sense; the message names the field, its value and the rule."""


def parse_fields(given: object, parsers: Mapping[str, Parser], what: str, example: str) -> dict[str, Any]:
    """The fields of a JSON object, each by its parser.

    Raises:
        FaultError: it is not an object, or has an unknown field or a value out of its range.
    """
    if not isinstance(given, Mapping):
        raise FaultError(f"{what} is an object, as in {example}; not {given!r}")
    for name in given:
        if name not in parsers:
            raise FaultError(f"unknown field {name!r}; choose from {', '.join(parsers)}")
    return {name: parsers[name](name, value) for name, value in given.items()}


def parse_number(name: str, value: object, most: float, *, least: float = 0.0) -> float:
    # A whole number may be too large for `isfinite`: then it is out of range.
    is_infinite = isinstance(value, float) and not math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or is_infinite:
        raise FaultError(f"{name}={value!r} is not a number")
    if not least <= value <= most:
        raise FaultError(f"{name}={value!r} is out of range; give {least:g} to {most:g}")
    return float(value)


def parse_seconds(name: str, value: object) -> float:
    return parse_number(name, value, MAX_SECONDS)


def parse_share(name: str, value: object) -> float:
    return parse_number(name, value, 1.0)


def parse_rate(name: str, value: object) -> float:
    return parse_number(name, value, MAX_BYTES, least=1.0)


def parse_whole(name: str, value: object, *, least: float = 0.0, most: float = MAX_BYTES) -> int:
    number = parse_number(name, value, most, least=least)
    if number != int(number):
        raise FaultError(f"{name}={value!r} is not a whole number")
    return int(number)


def parse_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise FaultError(f"{name}={value!r} is neither true nor false")
    return value


def parse_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise FaultError(f"{name}={value!r} is not text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FaultError(f"{name}={value!r} has half of a surrogate pair, which UTF-8 has not") from error
    return value
