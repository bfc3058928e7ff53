"""The values of variables that a command is given: as words, from files, and from the environment."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scenarios.command_line.files import read_content
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.expectations import format_value
from scenarios.domain.templates import format_scalar
from scenarios.language.variables import parse_pairs
from scenarios.language.yaml_tree import Node, read_tree


def read_variables(words: Sequence[str], files: Sequence[Path]) -> dict[str, str]:
    """The value of each name. A word takes precedence over a file, and a later one over an earlier one.

    A word without '=' names a variable of the environment, too.

    Raises:
        CommandRefused: a file cannot be read.
        InvalidVariables: a file is not a mapping of names to values, or the environment lacks a name.
    """
    values: dict[str, str] = {}
    for file in files:
        values |= _read_file(file)
    return values | parse_pairs([_add_value(word) for word in words])


def _add_value(word: str) -> str:
    if "=" in word:
        return word
    if word not in os.environ:
        sentence = (
            f"{word!r} has no value: write it as '{word}=VALUE', or set the environment variable {word!r}"
        )
        raise InvalidVariables({word: sentence})
    return f"{word}={os.environ[word]}"


def _read_file(file: Path) -> dict[str, str]:
    try:
        tree = read_tree(read_content(file))
    except InvalidDocument as error:
        problems = "\n".join(f"{file}: {problem}" for problem in error.problems)
        raise InvalidVariables({str(file): problems}) from error
    if not isinstance(tree.value, dict):
        raise InvalidVariables({str(file): f"{file}: {_describe(tree)} is not a mapping of names to values"})
    errors = {
        name: f"{file}: {_describe(node)} is not a value for {name!r}: write text, a number, true or false"
        for name, node in tree.value.items()
        if not isinstance(node.value, str | int | float)
    }
    if errors:
        raise InvalidVariables(errors)
    return {name: format_scalar(node.value) for name, node in tree.value.items()}


def _describe(node: Node) -> str:
    value: Any = node.plain()
    return f"line {node.line}, column {node.column}: {format_value(value)}"
