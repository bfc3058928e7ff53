"""The verb export: stored documents, as they were written."""

from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import (
    CommandRefused,
    Coordinator,
    NotFound,
    ScenarioNotFound,
)
from coordinator_client.command_line.files import STANDARD_OUTPUT, parse_output, replace_file
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_verb, parse_number
from coordinator_client.command_line.wording import quote_command


def add_to(verbs: Any) -> None:
    export = add_verb(
        verbs, export_scenario, "export", "Write the stored document of a scenario, or of all, unchanged."
    )
    add_completed(
        export,
        "name",
        completion.complete_scenarios,
        metavar="NAME",
        help_text="The scenario's name.",
        nargs="?",
        default="",
    )
    export.add_argument(
        "--version", type=parse_number, metavar="N", help="Write version N (default: what is stored now)."
    )
    export.add_argument(
        "-o",
        "--output",
        type=parse_output,
        metavar="FILE",
        help="The file to write (default: standard output).",
    )
    export.add_argument(
        "--all",
        type=Path,
        metavar="FOLDER",
        dest="folder",
        help="Write each scenario to FOLDER/NAME.yaml, each suite to FOLDER/NAME.suite.yaml. "
        "With '-', write all as one stream, which 'import -' reads.",
    )


def export_scenario(
    session: Session,
    name: str,
    version: int | None,
    output: Path | None,
    folder: Path | None,
    **_options: Any,
) -> int:
    if bool(name) == bool(folder) or (folder and output):
        raise CommandRefused("Give either the name of a scenario or '--all FOLDER'.")
    if folder and version is not None:
        raise CommandRefused("'--version' is of one scenario; use it without '--all'.")
    if folder:
        return _export_all(session, folder)
    if version is None:
        document = _find_document(session, name)
    else:
        document = session.coordinator.find_version(name, version).document
    write_document(session.terminal, name, document, output)
    return exit_codes.DONE


def _find_document(session: Session, name: str) -> str:
    try:
        return session.coordinator.find_scenario(name).document
    except ScenarioNotFound as error:
        if name not in {suite.name for suite in session.coordinator.list_suites()}:
            raise
        command = quote_command(f"suite export {name}")
        raise NotFound(
            f"There is no scenario {name!r}, but a suite with this name; {command} writes it."
        ) from error


def write_document(terminal: Terminal, name: str, document: str, output: Path | None) -> None:
    """To the file, or else to standard output."""
    if output:
        replace_file(output, document.encode())
    elif terminal.wants_json:
        terminal.document({"name": name, "document": document})
    else:
        terminal.text(document.encode())


def _export_all(session: Session, folder: Path) -> int:
    if folder == STANDARD_OUTPUT:
        return _export_stream(session)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandRefused(f"Cannot create {str(folder)!r}: {error.strerror}.") from error
    files = []
    for file_name, document in _read_all(session.coordinator):
        file = folder / file_name
        replace_file(file, document.encode())
        session.terminal.say(escape_text(file))
        files.append(str(file))
    if session.terminal.wants_json:
        session.terminal.document({"files": files})
    return exit_codes.DONE


def _export_stream(session: Session) -> int:
    documents = [document for _file_name, document in _read_all(session.coordinator)]
    if session.terminal.wants_json:
        session.terminal.document({"documents": documents})
        return exit_codes.DONE
    for document in documents:
        start = "" if document.startswith("---") else "---\n"
        end = "" if document.endswith("\n") else "\n"
        session.terminal.text(f"{start}{document}{end}".encode())
    return exit_codes.DONE


def _read_all(coordinator: Coordinator) -> list[tuple[str, str]]:
    """The document of each scenario and suite, by the name of its file. No scenario's name has a dot."""
    names = [found.name for found in coordinator.list_scenarios()]
    documents = [(f"{name}.yaml", coordinator.find_scenario(name).document) for name in names]
    suites = [found.name for found in coordinator.list_suites()]
    return documents + [(f"{name}.suite.yaml", coordinator.read_suite_document(name)) for name in suites]
