"""Reads files as documents, and shows every problem of every file."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scenarios.command_line.coordinator import Preflight, ReadDocument
from scenarios.command_line.files import read_content
from scenarios.command_line.terminal import Terminal, escape_text
from scenarios.command_line.verbs import Session
from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.language.experiments.translation import TranslationRefused

ReadFile = tuple[Path, ReadDocument]


@dataclass(frozen=True, slots=True)
class FileProblem:
    """`refused` is false for parts of a Chaos Toolkit experiment that have no equivalent in a scenario.

    `translated`: the place is in the scenario made from an experiment, where only its path is meaningful.
    """

    file: Path
    problem: Problem
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
        return {"file": str(self.file), "refused": self.refused, **asdict(self.problem)}


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
        left_out = [FileProblem(file, problem, refused=False) for problem in error.translation.left_out]
        return None, left_out + [FileProblem(file, problem, translated=True) for problem in error.problems]
    except InvalidDocument as error:
        return None, [FileProblem(file, problem) for problem in error.problems]
    return document, [FileProblem(file, problem, refused=False) for problem in document.left_out]


def show_problems(terminal: Terminal, problems: Sequence[FileProblem]) -> None:
    for problem in problems:
        terminal.say(problem.markup())


def show_preflight(terminal: Terminal, found: Preflight) -> None:
    for sentence in found.refusals:
        terminal.say(f"[red]A run would end as errored[/red]: {escape_text(sentence)}")
    for sentence in found.unreachable:
        terminal.say(f"[red]Unreachable now[/red]: {escape_text(sentence)}")
    for sentence in found.targets:
        terminal.say(f"A fault would be at {escape_text(sentence)}")
    for sentence in found.warnings:
        terminal.say(f"[yellow]{escape_text(sentence)}[/yellow]")
