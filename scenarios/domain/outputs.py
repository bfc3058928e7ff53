"""Limit what a step returned to a size and form that can be stored."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from scenarios.domain.garbage_collection import postpone_collection

KEPT_CHARACTERS = 64 * 1024
KEPT_TEXT = 4 * 1024
# Each database limits the depth of JSON (SQLite: 1000), and so does Python's encoder.
MAX_DEPTH = 64
_TOO_DEEP = "… (nested too deep to be kept)"
# The limits of `make_ascii`, which is used for the rare event that the database refuses.
_PLAIN_TEXT, _PLAIN_PARTS, _PLAIN_DEPTH = 1000, 20, 4
_MAX_BITS = 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def limit_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as JSON values, with at most 64 Ki characters in total; shortened values say so."""
    room = KEPT_CHARACTERS
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        text = _represent(value)
        size = len(text)
        limit = min(room, KEPT_TEXT)
        kept[name] = value if size <= limit else truncate(value if isinstance(value, str) else text, limit)
        room = max(0, room - min(size, limit))
    return kept


def truncate(text: str, limit: int) -> str:
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]}… ({left_out} more characters)"


def shorten(text: str, characters: int) -> str:
    """At most so many characters, the last one an ellipsis where something is left out."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _represent(value: Any) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError):  # ValueError: an integer with thousands of digits
        return _TOO_DEEP.ljust(KEPT_TEXT + 1)


def read_json(text: str) -> Any:
    """Parse JSON. Unlike `json.loads`, refuse NaN and the infinities.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: the text is nested too deeply.
    """
    with postpone_collection():
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_float)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parse_float(text: str) -> float | str:
    """Keep a number that a float cannot hold, such as 1e999, as text."""
    number = float(text)
    return number if math.isfinite(number) else text


def make_storable(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value as JSON that every database accepts, whatever a service or a driver returned.

    PostgreSQL refuses NUL characters, halves of surrogate pairs, NaN and the infinities.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if value is None or isinstance(value, bool | int | float):
        return _number(value)
    if depth == 0:
        return _TOO_DEEP
    if isinstance(value, Mapping):
        return {make_storable(str(name)): make_storable(part, depth - 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [make_storable(part, depth - 1) for part in value]
    return make_storable(repr(value))


def _number(value: float | None) -> float | str | None:
    """The number, or text for a number that JSON cannot hold or Python cannot write."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"an integer of {value.bit_length()} bits"
    return value


def dump_json(value: Any, **how: Any) -> str:
    """The value as standard JSON, with NaN and the infinities as text.

    `how`: the parameters of `json.dumps`.
    """
    try:
        return json.dumps(value, allow_nan=False, **how)
    except ValueError:
        if "default" in how:
            plainly = how["default"]
            how["default"] = lambda item: _replace_non_finite(plainly(item))
        return json.dumps(_replace_non_finite(value), allow_nan=False, **how)


def _replace_non_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {name: _replace_non_finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_non_finite(part) for part in value]
    return value


def limit_detail(detail: Mapping[str, Any]) -> dict[str, Any]:
    """An event's detail in a form that can be stored, with no text longer than KEPT_CHARACTERS."""
    kept: dict[str, Any] = make_storable(
        {
            name: truncate(part, KEPT_CHARACTERS) if isinstance(part, str) else part
            for name, part in detail.items()
        }
    )
    return kept


def make_ascii(value: Any, depth: int = _PLAIN_DEPTH) -> Any:
    """A short version of the value in ASCII, which every encoding of a database can store."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("?", value[:_PLAIN_TEXT]).encode("ascii", "backslashreplace").decode()
    if isinstance(value, Mapping) and depth:
        parts = list(value.items())[:_PLAIN_PARTS]
        return {make_ascii(str(name)): make_ascii(part, depth - 1) for name, part in parts}
    if isinstance(value, list | tuple) and depth:
        return [make_ascii(part, depth - 1) for part in value[:_PLAIN_PARTS]]
    if value is None or isinstance(value, bool | int | float):
        return _number(value)
    return make_ascii(_represent(value))
