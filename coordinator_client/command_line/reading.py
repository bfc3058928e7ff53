"""Reads files as documents, and shows every problem of every file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coordinator_client.command_line.coordinator import ReadDocument, TranslationRefused
from coordinator_client.command_line.files import Part, read_documents
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session
from coordinator_client.errors import InvalidDocumentError, Problem
from coordinator_client.records import LeftOut, PlannedRun


@dataclass(frozen=True, slots=True)
class Place:
    """The file of a document. `number` counts the documents of a file with several, from 1; else it is 0."""

    file: Path
    number: int = 0
    lines_before: int = 0

    def __str__(self) -> str:
        return f"{self.file}, document {self.number}" if self.number else str(self.file)

    def as_json(self) -> dict[str, Any]:
        return {"file": str(self.file), **({"document": self.number} if self.number else {})}


ReadFile = tuple[Place, ReadDocument]


@dataclass(frozen=True, slots=True)
class FileProblem:
    """`refused` is false for parts of a Chaos Toolkit experiment that have no equivalent in a scenario.

    `translated`: the place is in the scenario made from an experiment, where only its path is meaningful.
    `document` is the number of the document in a file with several, else 0. Lines are those of the file.
    """

    file: Path
    problem: Problem | LeftOut
    refused: bool = True
    translated: bool = False
    document: int = 0

    def markup(self) -> str:
        found = self.problem
        where = f"{self.file}:{found.line}:{found.column}"
        if self.document:
            where += f": document {self.document}"
        if self.translated:
            where = f"{Place(self.file, self.document)}: in the translated scenario, {found.path}"
        hint = f" ({found.hint})" if found.hint else ""
        colour = "red" if self.refused else "yellow"
        return f"[{colour}]{escape_text(where)}[/{colour}]: {escape_text(found.message + hint)}"

    def as_json(self) -> dict[str, Any]:
        names = ("line", "column", "path", "message", "hint")
        fields = {name: getattr(self.problem, name) for name in names}
        place = Place(self.file, self.document)
        return {**place.as_json(), "refused": self.refused, **fields}


def read_files(
    session: Session,
    files: Sequence[Path],
    *,
    describe: Callable[[Place, ReadDocument], str] | None = None,
    name: str = "",
) -> tuple[list[ReadFile], list[FileProblem]]:
    """Read the files, each with one document or several, and show each problem as it is found.

    `describe` makes the line that is shown for a valid document. `name` is given to a Chaos Toolkit
    experiment.
    """
    read: list[ReadFile] = []
    problems: list[FileProblem] = []
    for place, part in _list_parts(files):
        document, found = _read(session, place, part, name)
        show_problems(session.terminal, found)
        problems += found
        if document is not None:
            read.append((place, document))
            if describe is not None and not session.terminal.wants_json:
                session.terminal.say(describe(place, document))
    return read, problems


def _list_parts(files: Sequence[Path]) -> Iterator[tuple[Place, Part]]:
    for file in files:
        parts = read_documents(file)
        for number, part in enumerate(parts, 1 if len(parts) > 1 else 0):
            yield Place(file, number, part.lines_before), part


def _read(
    session: Session, place: Place, part: Part, name: str
) -> tuple[ReadDocument | None, list[FileProblem]]:
    try:
        document = session.coordinator.read_document(part.content, name=name)
    except TranslationRefused as error:
        left_out = [locate(place, problem, refused=False) for problem in error.left_out]
        return None, left_out + [locate(place, problem, translated=True) for problem in error.problems]
    except InvalidDocumentError as error:
        return None, [locate(place, problem) for problem in error.problems]
    return document, [locate(place, problem, refused=False) for problem in document.left_out]


def locate(
    place: Place, problem: Problem | LeftOut, *, refused: bool = True, translated: bool = False
) -> FileProblem:
    """The problem at its line of the file, which may have documents before this one."""
    if not translated:
        problem = replace(problem, line=problem.line + place.lines_before)
    return FileProblem(place.file, problem, refused, translated, place.number)


def show_problems(terminal: Terminal, problems: Sequence[FileProblem]) -> None:
    for problem in problems:
        terminal.say(problem.markup())


def show_preflight(terminal: Terminal, found: PlannedRun) -> None:
    for sentence in found.refusals:
        terminal.say(f"[red]A run would end as errored[/red]: {escape_text(sentence)}")
    for sentence in found.unreachable:
        terminal.say(f"[red]Unreachable now[/red]: {escape_text(sentence)}")
    for sentence in found.targets:
        terminal.say(f"A fault would be at {escape_text(sentence)}")
    for sentence in found.warnings:
        terminal.say(f"[yellow]{escape_text(sentence)}[/yellow]")


def list_findings(found: PlannedRun) -> dict[str, Any]:
    """What a run would meet, for programs."""
    names = ("refusals", "unreachable", "warnings", "targets")
    return {name: list(getattr(found, name)) for name in names}
