"""Parses documents with the installed drivers."""

from typing import Any

from scenarios.drivers.platform import fault_arguments, step_arguments
from scenarios.language.document import Document, parse_document
from scenarios.language.schema import json_schema


def read_document(source: str | bytes) -> Document:
    """Parse a document and check it against the installed drivers.

    Raises:
        InvalidDocument: with every problem at its line and column.
    """
    return parse_document(source, step_arguments(), fault_arguments())


def describe_language() -> dict[str, Any]:
    """The JSON Schema of the documents that `read_document` accepts."""
    return json_schema(step_arguments(), fault_arguments())
