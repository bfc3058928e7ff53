"""Fields of a request that the verb `api` is given as words: `-f NAME=VALUE` and `-F NAME=VALUE`."""

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.files import find_file, read_content

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_LITERAL = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Field:
    """`path` of `variables[delay_ms]` is ("variables", "delay_ms"); an empty part appends to a list."""

    path: tuple[str, ...]
    text: str
    is_typed: bool = False

    def read_value(self) -> Any:
        """The text itself; of a typed field, what JSON means by it, or the content of `@FILE`.

        Raises:
            CommandRefused: the file cannot be read.
        """
        if not self.is_typed:
            return self.text
        if self.text.startswith("@"):
            return _read_text(self.text[1:])
        return json.loads(self.text) if _LITERAL.fullmatch(self.text) else self.text


def parse_raw_field(text: str) -> Field:
    return _parse(text, is_typed=False)


def parse_typed_field(text: str) -> Field:
    return _parse(text, is_typed=True)


def _parse(text: str, *, is_typed: bool) -> Field:
    name, equals, value = text.partition("=")
    found = _NAME.fullmatch(name)
    if not equals or found is None:
        raise ArgumentTypeError(
            f"invalid field {text!r}; write it as NAME=VALUE, NAME[PART]=VALUE or NAME[]=VALUE"
        )
    return Field((found[1], *_PART.findall(found[2])), value, is_typed)


def _read_text(name: str) -> str:
    try:
        return read_content(find_file(Path(name))).decode()
    except UnicodeDecodeError as error:
        raise CommandRefused(f"{name!r} is not text in UTF-8; send it with '--input'.") from error


def build_object(fields: Sequence[Field]) -> dict[str, Any]:
    """The JSON object with these fields.

    Raises:
        CommandRefused: a name is given twice, or as a value and as a list or an object.
    """
    whole: dict[str, Any] = {}
    for field in fields:
        _put(whole, field.path, field)
    return whole


def _put(container: Any, path: Sequence[str], field: Field) -> None:
    first, rest = path[0], path[1:]
    if not isinstance(container, dict if first else list):
        raise CommandRefused(f"{_format_name(field)!r} is given in two forms; give it in one.")
    if rest:
        inner: Any = {} if rest[0] else []
        inner = container.setdefault(first, inner) if isinstance(container, dict) else inner
        _put(inner, rest, field)
    else:
        inner = field.read_value()
    if isinstance(container, dict):
        if not rest and first in container:
            raise CommandRefused(f"The field {_format_name(field)!r} is given twice; give it once.")
        container[first] = inner
    else:
        container.append(inner)


def _format_name(field: Field) -> str:
    return field.path[0] + "".join(f"[{part}]" for part in field.path[1:])


def build_query(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """The same as parameters of an address, which have no types."""
    pairs = []
    for field in fields:
        value = field.read_value()
        pairs.append((_format_name(field), value if isinstance(value, str) else json.dumps(value)))
    return pairs
