"""Parses documents with the installed drivers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scenarios.drivers.platform import fault_arguments, step_arguments
from scenarios.language.document import Document, parse_document
from scenarios.language.includes import StoredScenarios
from scenarios.language.schema import json_schema
from scenarios.models import Scenario


def read_document(source: str | bytes, included: Mapping[str, str] | None = None) -> Document:
    """Parse a document and check it against the installed drivers.

    What it includes is found among `included`, by name; by default among the stored scenarios, when a plan
    is built.

    Raises:
        InvalidDocument: with every problem at its line and column.
    """
    document = parse_document(source, step_arguments(), fault_arguments())
    return replace(document, stored=STORED if included is None else _find_among(included))


def _find_stored(name: str) -> Document | None:
    source = Scenario.objects.filter(name=name).values_list("document", flat=True).first()
    return None if source is None else parse_document(source, step_arguments(), fault_arguments())


def _list_stored() -> list[str]:
    return list(Scenario.objects.order_by("name").values_list("name", flat=True))


STORED = StoredScenarios(_find_stored, _list_stored)


def _find_among(sources: Mapping[str, str]) -> StoredScenarios:
    def find(name: str) -> Document | None:
        source = sources.get(name)
        return None if source is None else parse_document(source, step_arguments(), fault_arguments())

    return StoredScenarios(find, lambda: list(sources))


def read_included(document: Document) -> dict[str, str]:
    """The texts of all stored scenarios that a run of the document needs, by name."""
    found: dict[str, str] = {}
    left = document.list_includes()
    while left:
        name = left.pop()
        inner = document.stored.find(name) if name not in found else None
        if inner is not None:
            found[name] = inner.source
            left += inner.list_includes()
    return found


def describe_language() -> dict[str, Any]:
    """The JSON Schema of the documents that `read_document` accepts."""
    return json_schema(step_arguments(), fault_arguments())
