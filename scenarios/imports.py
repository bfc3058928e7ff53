"""What can be imported: documents of the language, and what is translated to one."""

from dataclasses import dataclass

from scenarios.domain.document import Document
from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.domain.experiments.translation import TranslationRefused, is_experiment, translate
from scenarios.services import read_document


@dataclass(frozen=True, slots=True)
class Import:
    """A document to store; of an experiment of Chaos Toolkit, with what could not be carried over.

    The places in `left_out` are the experiment's.
    """

    document: Document
    left_out: tuple[Problem, ...] = ()


def read_for_import(source: str | bytes) -> Import:
    """A document of the language, or an experiment of Chaos Toolkit translated to one.

    Raises:
        InvalidDocument: with every problem at its line and column.
        TranslationRefused: of an experiment, the scenario made of it is refused here.
    """
    if not is_experiment(source):
        return Import(read_document(source))
    translation = translate(source)
    try:
        return Import(read_document(translation.source), translation.left_out)
    except InvalidDocument as error:
        raise TranslationRefused(error.problems, translation) from error
