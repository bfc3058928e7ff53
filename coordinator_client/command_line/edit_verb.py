"""The verb edit: a stored scenario in the person's own editor."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import ChangedMeanwhile, CommandRefused
from coordinator_client.command_line.reading import FileProblem, show_problems
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_verb
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import CoordinatorError, InvalidDocumentError

EDITOR = "vi"


def add_to(verbs: Any) -> None:
    parser = add_verb(
        verbs, edit_scenario, "edit", "Change a stored scenario in the editor that VISUAL or EDITOR names."
    )
    add_completed(
        parser, "name", completion.complete_scenarios, metavar="NAME", help_text="The scenario's name."
    )


def edit_scenario(session: Session, name: str, **_options: Any) -> int:
    """The draft is kept if it is not stored: nobody should have to write it again."""
    edited = session.coordinator.find_document(name)
    draft = _write_draft(name, edited.document)
    try:
        document = _read_edited(draft)
        if document == edited.document:
            draft.unlink()
            session.terminal.result({"stored": False, "name": name}, "Nothing was changed.")
            return exit_codes.DONE
        session.coordinator.replace_document(edited, document)
    except InvalidDocumentError as error:
        show_problems(session.terminal, [FileProblem(draft, problem) for problem in error.problems])
        session.terminal.complain(_describe_draft(draft))
        return exit_codes.REFUSED
    except ChangedMeanwhile as error:
        raise CommandRefused(
            f"{error} Nothing was stored; the draft is kept in {str(draft)!r}. "
            f"Compare it with what is stored now: {quote_command(f'import --check {draft}')}."
        ) from error
    except CoordinatorError as error:
        raise CommandRefused(f"{error} {_describe_draft(draft)}") from error
    draft.unlink()
    session.terminal.result({"stored": True, "name": name}, f"Scenario {escape_text(name)} is stored.")
    return exit_codes.DONE


def _describe_draft(draft: Path) -> str:
    command = quote_command(f"import {draft}")
    return (
        f"Nothing was stored; the draft is kept in {str(draft)!r}. Correct it, then store it with {command}."
    )


def _write_draft(name: str, document: str) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{name}-", suffix=".yaml", delete=False, encoding="utf-8", newline=""
    ) as file:
        file.write(document)
    return Path(file.name)


def _read_edited(draft: Path) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or EDITOR
    try:
        done = subprocess.run([*shlex.split(editor), str(draft)], check=False)
    except (OSError, ValueError) as error:
        draft.unlink()
        raise CommandRefused(
            f"The editor {editor!r} cannot be started: {error}. Name another one in VISUAL or EDITOR."
        ) from error
    if done.returncode:
        raise CommandRefused(f"The editor ended with the exit code {done.returncode}.")
    try:
        return draft.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandRefused(f"The draft cannot be read: {error}.") from error
