"""Notes about the parts of an experiment that could not be carried over."""

from collections.abc import Iterable, Mapping
from typing import Any

from scenarios.domain.errors import Problem
from scenarios.language.yaml_nodes import Node


class Notes:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, node: Node, message: str, hint: str = "") -> None:
        self.problems.append(Problem(node.line, node.column, "", message, hint))

    def add_unknown(self, node: Node, known: Iterable[str], owner: str) -> None:
        """Add a note for every unknown key of the mapping."""
        for name in get_fields(node).keys() - set(known):
            self.add(node.keys[name], f"{name!r} of {owner} is not carried over")


def get_fields(node: Node | None) -> Mapping[str, Node]:
    """The values of a mapping by name; empty if the node is not a mapping."""
    return node.value if node is not None and isinstance(node.value, dict) else {}


def get_entries(node: Node | None) -> list[Node]:
    return node.value if node is not None and isinstance(node.value, list) else []


def get_plain(node: Node | None, default: Any = None) -> Any:
    return default if node is None else node.plain()


def get_text(node: Node | None, default: str = "") -> str:
    """The text as a name or title: one printable line."""
    value = get_plain(node, default)
    line = " ".join(str(value if value is not None else default).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:200] or default
