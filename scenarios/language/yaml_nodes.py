"""The nodes of a document's tree, which know their line and column."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

MAX_DEPTH = 32
_NO_KEYS: Mapping[str, "Node"] = MappingProxyType({})


@dataclass(slots=True)
class Node:
    """`value` is a scalar, a list of nodes, or a mapping of names to nodes; `keys` has the nodes of its
    names.

    `nodes`, `characters` and `height` are its size with every alias expanded.
    """

    value: Any
    line: int
    column: int
    keys: Mapping[str, "Node"] = field(default_factory=lambda: _NO_KEYS)
    nodes: int = 1
    characters: int = 0
    height: int = 0

    def plain(self) -> Any:
        """The value as plain JSON. The depth is limited, so this may recurse."""
        if isinstance(self.value, dict):
            return {name: child.plain() for name, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def add_size(self, child: "Node") -> None:
        """Count the child, which has just been put into this collection."""
        self.nodes += child.nodes
        self.characters += child.characters
        self.height = max(self.height, child.height + 1)


def walk_tree(root: Node, deepest: int = MAX_DEPTH) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Yield every node down to this depth with its path, in document order."""
    stack: list[tuple[tuple[str | int, ...], Node]] = [((), root)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if len(path) >= deepest:
            continue
        if isinstance(node.value, dict):
            stack.extend(((*path, name), child) for name, child in reversed(node.value.items()))
        elif isinstance(node.value, list):
            stack.extend(((*path, index), node.value[index]) for index in reversed(range(len(node.value))))


def get_child(node: Node | None, name: str) -> Node | None:
    """The value of this key; None if the node is not a mapping with it."""
    found = node.value.get(name) if node is not None and isinstance(node.value, dict) else None
    return found if isinstance(found, Node) else None


def list_children(node: Node | None) -> list[Node]:
    """The entries of a list, or the values of a mapping."""
    value = node.value if node is not None else None
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
