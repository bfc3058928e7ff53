"""Suggestions for misspelt names."""

import difflib
from collections.abc import Sequence

_MAX_HINTED_LENGTH = 64


def suggest(name: str, known: Sequence[str]) -> str:
    if len(name) > _MAX_HINTED_LENGTH:
        return ""
    match = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {match[0]!r}?" if match else ""
