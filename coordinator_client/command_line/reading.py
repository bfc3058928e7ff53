"""Reads files as documents, and shows every problem of every file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator_client.command_line.coordinator import ReadDocument, TranslationRefused
from coordinator_client.command_line.files import read_content
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session
from coordinator_client.errors import InvalidDocumentError, Problem
from coordinator_client.records import LeftOut, PlannedRun

ReadFile = tuple[Path, ReadDocument]


@dataclass(frozen=True, slots=True)
class FileProblem:
    """`refused` is false for parts of a Chaos Toolkit experiment that have no equivalent in a scenario.

    `translated`: the place is in the scenario made from an experiment, where only its path is meaningful.
    """

    file: Path
    problem: Problem | LeftOut
    refused: bool = True
    translated: bool = False

    def markup(self) -> str:
        found = self.problem
        where = f"{self.file}:{found.line}:{found.column}"
        if self.translated:
            where = f"{self.file}: in the translated scenario, {found.path}"
        hint = f" ({found.hint})" if found.hint else ""
        colour = "red" if self.refused else "yellow"
        return f"[{colour}]{escape_text(where)}[/{colour}]: {escape_text(found.message + hint)}"

    def as_json(self) -> dict[str, Any]:
        names = ("line", "column", "path", "message", "hint")
        fields = {name: getattr(self.problem, name) for name in names}
        return {"file": str(self.file), "refused": self.refused, **fields}


def read_files(
    session: Session,
    files: Sequence[Path],
    *,
    describe: Callable[[Path, ReadDocument], str] | None = None,
    name: str = "",
) -> tuple[list[ReadFile], list[FileProblem]]:
    """Read the files and show each problem as it is found.

    `describe` makes the line that is shown for a valid file. `name` is given to a Chaos Toolkit experiment.
    """
    read: list[ReadFile] = []
    problems: list[FileProblem] = []
    for file in files:
        document, found = _read(session, file, name)
        show_problems(session.terminal, found)
        problems += found
        if document is not None:
            read.append((file, document))
            if describe is not None and not session.terminal.wants_json:
                session.terminal.say(describe(file, document))
    return read, problems


def _read(session: Session, file: Path, name: str) -> tuple[ReadDocument | None, list[FileProblem]]:
    try:
        document = session.coordinator.read_document(read_content(file), name=name)
    except TranslationRefused as error:
        left_out = [FileProblem(file, problem, refused=False) for problem in error.left_out]
        return None, left_out + [FileProblem(file, problem, translated=True) for problem in error.problems]
    except InvalidDocumentError as error:
        return None, [FileProblem(file, problem) for problem in error.problems]
    return document, [FileProblem(file, problem, refused=False) for problem in document.left_out]


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
