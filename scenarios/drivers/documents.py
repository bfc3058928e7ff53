"""Parses documents with the installed drivers."""

from scenarios.drivers.platform import step_arguments
from scenarios.language.document import Document, parse_document


def read_document(source: str | bytes) -> Document:
    """Parse a document and check it against the installed drivers.

    Raises:
        InvalidDocument: with every problem at its line and column.
    """
    return parse_document(source, step_arguments())
