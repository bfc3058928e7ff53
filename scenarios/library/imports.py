"""What can be imported: documents of the language, and what is translated to one."""

from dataclasses import dataclass

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.drivers.documents import read_document
from scenarios.language.document import Document
from scenarios.language.experiments.translation import TranslationRefused, is_experiment, translate


@dataclass(frozen=True, slots=True)
class Import:
    """A document to store; of an experiment of Chaos Toolkit, with what could not be carried over.

    The places in `left_out` are the experiment's.
    """

    document: Document
    left_out: tuple[Problem, ...] = ()
    is_translated: bool = False


def read_for_import(source: str | bytes, *, name: str = "") -> Import:
    """A document of the language, or an experiment of Chaos Toolkit translated to one, under this name.

    Raises:
        InvalidDocument: with every problem at its line and column.
        TranslationRefused: of an experiment, the scenario made of it is refused here.
    """
    if not is_experiment(source):
        return Import(read_document(source))
    translation = translate(source, name=name)
    try:
        return Import(read_document(translation.source), translation.left_out, is_translated=True)
    except InvalidDocument as error:
        raise TranslationRefused(error.problems, translation) from error
