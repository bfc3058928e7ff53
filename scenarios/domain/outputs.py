"""What a step returned, cut to a size that can be kept."""

from collections.abc import Mapping
from typing import Any

KEPT_CHARACTERS = 64 * 1024
KEPT_TEXT = 4 * 1024


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
