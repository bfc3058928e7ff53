"""What a step returned, cut to a size that can be kept, and of a kind that can."""

import math
import re
from collections.abc import Mapping
from typing import Any

KEPT_CHARACTERS = 64 * 1024
KEPT_TEXT = 4 * 1024
# PostgreSQL keeps no NUL character in JSON, and half of a surrogate pair has no UTF-8 form.
_NOT_KEPT = re.compile("[\x00\ud800-\udfff]")


def bounded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as JSON values, at most 64 Ki characters together; what was cut says so."""
    room = KEPT_CHARACTERS
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        name, value = storable(name), storable(value)  # noqa: PLW2901 - only these are looked at
        size = len(repr(value))
        limit = min(room, KEPT_TEXT)
        kept[name] = value if size <= limit else cut(value if isinstance(value, str) else repr(value), limit)
        room = max(0, room - min(size, limit))
    return kept


def storable(value: Any) -> Any:
    """The value as JSON that every database keeps; what is no JSON value becomes text."""
    try:
        return _storable(value)
    except RecursionError:
        return "nested too deep to be kept"


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_KEPT.sub("\N{REPLACEMENT CHARACTER}", value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return _storable(repr(value))


def cut(text: str, limit: int) -> str:
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]}… ({left_out} more characters)"
