"""The scenarios of the catalogue as what a new test is made from: a service, what breaks, and how strong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scenarios.drivers import documents
from scenarios.language.document import Document

CATALOGUE = Path(__file__).resolve().parents[1] / "catalogue"
# These say what is tested, and in what: a form offers what is registered.
_RARE_LINE_BREAKS = frozenset("\x85\u2028\u2029")
SERVICE, DEPENDENCY, HOST = "service", "dependency", "host"
# What happens most often comes first in its group.
FIRST = ("dependency-slow", "dependency-refuses-connections", "dependency-hangs", "process-killed")
GROUPS = {
    "proxy": "Between the service and what it depends on",
    "host": "On a machine",
    "postgresql": "In PostgreSQL",
    "redis": "In Redis",
}


@dataclass(frozen=True, slots=True)
class ShippedTest:
    """`driver` is that of its fault; `variables` by name, as the document declares them."""

    name: str
    text: str
    document: Document
    driver: str

    @property
    def targets(self) -> list[str]:
        """The variables that name what is tested and what breaks."""
        return [name for name in (SERVICE, DEPENDENCY, HOST) if name in self.document.variables]


@cache
def list_shipped_tests() -> Mapping[str, ShippedTest]:
    """Those that ask which service must survive, by their groups; in a group, the usual ones first."""
    found = [test for path in sorted(CATALOGUE.glob("*.yaml")) if (test := _read(path)) is not None]
    order, first = list(GROUPS), list(reversed(FIRST))

    def find_place(test: ShippedTest) -> tuple[int, int]:
        return order.index(test.driver), -first.index(test.name) - 1 if test.name in first else 0

    return {test.name: test for test in sorted(found, key=find_place)}


def _read(path: Path) -> ShippedTest | None:
    text = path.read_text("utf-8")
    document = documents.read_document(text)
    drivers = [driver for driver in GROUPS if re.search(rf"fault:\s+\{{?{driver}:", text)]
    if SERVICE not in document.variables or not drivers:
        return None
    return ShippedTest(document.name, text, document, drivers[0])


def write_test(test: ShippedTest, name: str, title: str, defaults: Mapping[str, Any]) -> str:
    """The document under another name, with these values as defaults; its comments and form stay."""
    root = yaml.compose(test.text)
    metadata = _find(root, "metadata")
    replaced = {_find(metadata, "name"): name, _find(metadata, "title"): title}
    variables = _find(_find(root, "spec"), "variables")
    for variable, value in defaults.items():
        replaced[_find(_find(variables, variable), "default")] = value
    text = test.text
    for node in sorted(replaced, key=lambda node: node.start_mark.index, reverse=True):
        text = text[: node.start_mark.index] + write_scalar(replaced[node]) + text[node.end_mark.index :]
    return text


def write_scalar(value: Any) -> str:
    """The value as YAML in one line, which also fits between braces."""
    # YAML 1.1 has more line breaks than a line feed; those are only kept as escapes.
    readable = not (isinstance(value, str) and _RARE_LINE_BREAKS & set(value))
    text = yaml.safe_dump([value], default_flow_style=True, width=10_000, allow_unicode=readable)
    return text.strip()[1:-1]


def _find(node: Any, key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)
