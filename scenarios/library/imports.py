"""Reads what can be imported: scenarios, suites, and Chaos Toolkit experiments translated to documents."""

from dataclasses import dataclass

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.drivers.documents import read_document
from scenarios.language.document import Document
from scenarios.language.experiments.translation import TranslationRefused, is_experiment, translate
from scenarios.suites.documents import SuiteDocument, read_any


@dataclass(frozen=True, slots=True)
class Import:
    """A document to store. `left_out` lists what of a Chaos Toolkit experiment has no equivalent, at its
    place in the experiment.
    """

    document: Document | SuiteDocument
    left_out: tuple[Problem, ...] = ()
    is_translated: bool = False


def read_for_import(source: str | bytes, *, name: str = "") -> Import:
    """Read a document, or translate a Chaos Toolkit experiment to one with this name.

    Raises:
        InvalidDocument: with every problem at its line and column.
        TranslationRefused: the scenario made from an experiment is invalid.
    """
    if not is_experiment(source):
        return Import(read_any(source))
    translation = translate(source, name=name)
    try:
        return Import(read_document(translation.source), translation.left_out, is_translated=True)
    except InvalidDocument as error:
        raise TranslationRefused(error.problems, translation) from error
