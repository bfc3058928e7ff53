"""The values of variables that a command is given: as words, from files, and from the environment."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator_client.command_line.files import read_content
from coordinator_client.errors import InvalidVariablesError

SCALARS = ("str", "int", "float", "bool", "timestamp")
TAG = "tag:yaml.org,2002:"


def read_variables(words: Sequence[str], files: Sequence[Path]) -> dict[str, str]:
    """The value of each name. A word takes precedence over a file, and a later one over an earlier one.

    A word without '=' names a variable of the environment, too.

    Raises:
        CommandRefused: a file cannot be read.
        InvalidVariablesError: a file is not a mapping of names to values, the environment lacks a name, or
            two words give a name two values.
    """
    values: dict[str, str] = {}
    for file in files:
        values |= _read_file(file)
    return values | _read_words(words)


def _read_words(words: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        name, _, value = _add_value(word).partition("=")
        name = name.strip()
        if values.get(name, value) != value:
            raise InvalidVariablesError({name: f"{name!r} is given two values with '--var'; give it one"})
        values[name] = value
    return values


def _add_value(word: str) -> str:
    if "=" in word:
        return word
    if word not in os.environ:
        sentence = (
            f"{word!r} has no value: write it as '{word}=VALUE', or set the environment variable {word!r}"
        )
        raise InvalidVariablesError({word: sentence})
    return f"{word}={os.environ[word]}"


def _read_file(file: Path) -> dict[str, str]:
    import yaml  # noqa: PLC0415 - only where it is needed

    try:
        tree = yaml.compose(read_content(file), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidVariablesError({str(file): f"{file}: {_describe_error(error)}"}) from error
    if not isinstance(tree, yaml.MappingNode):
        sentence = f"{file}: {_locate(tree)}it is not a mapping of names to values"
        raise InvalidVariablesError({str(file): sentence})
    values: dict[str, str] = {}
    errors: dict[str, str] = {}
    for key, node in tree.value:
        name = str(key.value)
        if name in values:
            errors[name] = f"{file}: {_locate(key)}{name!r} is given twice"
        values[name] = str(node.value)
        kind = node.tag.removeprefix(TAG)
        if isinstance(node, yaml.SequenceNode) and all(_is_item(item) for item in node.value):
            values[name] = json.dumps([_read_item(item) for item in node.value])
        elif not isinstance(node, yaml.ScalarNode) or kind not in SCALARS:
            written = f"{node.value} " if isinstance(node, yaml.ScalarNode) else "this "
            errors[name] = (
                f"{file}: {_locate(node)}{written}is not a value for {name!r}: "
                "write text, a number, true or false, or a list of text and numbers"
            )
        elif kind == "bool":
            values[name] = values[name].lower()
    if errors:
        raise InvalidVariablesError(errors)
    return values


def _is_item(node: Any) -> bool:
    return node.id == "scalar" and node.tag.removeprefix(TAG) in {"str", "int", "float"}


def _read_item(node: Any) -> str | int | float:
    """The item of a list; a number only if JSON writes it in the same way."""
    try:
        number: int | float = json.loads(node.value)
    except (ValueError, RecursionError):
        return str(node.value)
    is_number = node.tag != f"{TAG}str" and json.dumps(number) == node.value
    return number if is_number else str(node.value)


def _locate(node: Any) -> str:
    return "" if node is None else f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}: "


def _describe_error(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{getattr(error, 'problem', None) or error}"
