"""References that a plan keeps until a step runs: `${secret:NAME}` and `${saved.NAME}`.

A text of a plan is read as parts: plain text, without its escaping, and references (see templates.py).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.domain.templates import VARIABLE_NAME, escape_references

_REFERENCE = re.compile(
    rf"(\$+)\{{(?:secret:({VARIABLE_NAME})\}}|saved\.({VARIABLE_NAME})\}}|(?=secret:|saved\.))"
)


@dataclass(frozen=True, slots=True)
class LateReference:
    """`is_secret`: it names a secret, not a saved value."""

    name: str
    is_secret: bool

    def __str__(self) -> str:
        return f"${{secret:{self.name}}}" if self.is_secret else f"${{saved.{self.name}}}"


Part = str | LateReference


def read_parts(text: str) -> list[Part]:
    """The parts of a plan's text."""
    parts: list[Part] = []
    position = 0
    for found in _REFERENCE.finditer(text):
        dollars = len(found[1])
        name = found[2] or found[3]
        plain = text[position : found.start()]
        position = found.end()
        if dollars % 2 and name:
            parts += [plain + "$" * (dollars // 2), LateReference(name, is_secret=bool(found[2]))]
        else:
            parts.append(plain + "$" * max(1, dollars // 2) + found[0][dollars:])
    return [*parts, text[position:]]


def write_parts(parts: Sequence[Part]) -> str:
    """The plan's text with these parts."""
    written = ""
    plain = ""
    for part in parts:
        if isinstance(part, str):
            plain += part
        else:
            written += escape_references(plain, before_reference=True) + str(part)
            plain = ""
    return written + escape_references(plain)


def map_texts(value: Any, change: Callable[[str], Any]) -> Any:
    """The JSON value, with each text changed that may have a reference or its escaping."""
    if isinstance(value, str):
        return change(value) if "${s" in value else value
    if isinstance(value, Mapping):
        return {key: map_texts(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [map_texts(inner, change) for inner in value]
    return value


def mentions_saved(value: Any) -> bool:
    """Whether a text in the value refers to a saved value, or looks as if it did."""
    if isinstance(value, str):
        return "${saved." in value
    if isinstance(value, Mapping):
        return any(map(mentions_saved, value.values()))
    return isinstance(value, list) and any(map(mentions_saved, value))
