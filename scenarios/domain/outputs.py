"""What a step returned, cut to a size that can be kept."""

import math
import re
from collections.abc import Mapping
from typing import Any

KEPT_CHARACTERS = 64 * 1024
KEPT_TEXT = 4 * 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def bounded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as JSON values, at most 64 Ki characters together; what was cut says so."""
    room = KEPT_CHARACTERS
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        size = len(repr(value))
        limit = min(room, KEPT_TEXT)
        kept[name] = value if size <= limit else cut(value if isinstance(value, str) else repr(value), limit)
        room = max(0, room - min(size, limit))
    return kept


def cut(text: str, limit: int) -> str:
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]}… ({left_out} more characters)"


def storable(value: Any) -> Any:
    """The value as JSON that every database takes: whatever a service or a driver put into it.

    PostgreSQL refuses NUL characters, halves of surrogate pairs, NaN and the infinities.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    return storable(repr(value))
