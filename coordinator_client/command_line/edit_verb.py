"""The verb edit: a stored scenario in the person's own editor."""

import os
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.confirmation import has_terminal
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
    editor = _choose_editor()
    draft = _write_draft(name, edited.document)
    try:
        document = _read_edited(editor, draft, edited.document)
        if document == edited.document:
            draft.unlink()
            session.terminal.result({"stored": False, "name": name}, "Nothing was changed.")
            return exit_codes.DONE
        session.coordinator.replace_document(edited, document)
    except InvalidDocumentError as error:
        session.terminal.show_error(error)
        show_problems(session.terminal, [FileProblem(draft, problem) for problem in error.problems])
        session.terminal.complain(_describe_draft(draft))
        return exit_codes.REFUSED
    except ChangedMeanwhile as error:
        raise CommandRefused(
            f"{error} Nothing was stored; the draft is kept in {str(draft)!r}. "
            f"Compare it with what is stored now: {quote_command(f'import --check {draft}')}."
        ) from error
    except CoordinatorError as error:
        if not draft.exists():
            raise
        refused = CommandRefused(f"{error} {_describe_draft(draft)}")
        refused.code = error.code
        raise refused from error
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


def _choose_editor() -> str:
    """Raises CommandRefused if none is named, and there is no terminal for vi."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not named and not has_terminal():
        raise CommandRefused(
            "'edit' opens an editor, and this is no terminal; name a program in EDITOR, or use "
            f"{quote_command('export')} and {quote_command('import')}."
        )
    return named or EDITOR


def _read_edited(editor: str, draft: Path, original: str) -> str:
    """The draft as the editor leaves it. It is removed if the editor fails and has changed nothing."""
    try:
        code = open_editor(editor, draft)
    except (OSError, ValueError) as error:
        draft.unlink()
        raise CommandRefused(
            f"The editor {editor!r} cannot be started: {error}. Name another one in VISUAL or EDITOR."
        ) from error
    try:
        document = draft.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandRefused(f"The draft cannot be read: {error}.") from error
    if not code:
        return document
    if document == original:
        draft.unlink()
    nothing = "" if draft.exists() else " Nothing was changed."
    how = f"ended with the exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
    raise CommandRefused(f"The editor {editor!r} {how}.{nothing}")


def open_editor(editor: str, draft: Path) -> int:
    """Ctrl-C is the editor's while it is open: it must not end this program and leave the draft behind."""
    with subprocess.Popen([*shlex.split(editor), str(draft)]) as opened:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return opened.wait()
        finally:
            signal.signal(signal.SIGINT, before)
