"""The verbs list, show, validate and export."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from scenarios.command_line import exit_codes
from scenarios.command_line.coordinator import (
    CommandRefused,
    Preflight,
    ReadDocument,
    RunFilter,
    ScenarioFacts,
)
from scenarios.command_line.files import find_files, replace_file
from scenarios.command_line.given_variables import read_variables
from scenarios.command_line.reading import read_files, show_preflight
from scenarios.command_line.terminal import Terminal, escape_text
from scenarios.command_line.verbs import VARIABLE_HELP, Session, add_vars_file, add_verb
from scenarios.domain.errors import InvalidVariables
from scenarios.published.records import RunRecord

RUNS_SHOWN = 5
FILES_HELP = "Documents, or folders with documents (.yaml, .yml, .json), or '-' for standard input."


def add_to(verbs: Any) -> None:
    add_verb(
        verbs,
        list_scenarios,
        "list",
        "List the stored scenarios, with the verdict of the last run.",
        shows=True,
    )
    show = add_verb(
        verbs, show_scenario, "show", "Show a scenario, its last runs and its document.", shows=True
    )
    show.add_argument("name", metavar="NAME", help="The scenario's name.")
    validate = add_verb(
        verbs, validate_files, "validate", "Validate documents, without storing them.", shows=True
    )
    validate.add_argument("files", nargs="+", type=Path, help=FILES_HELP)
    validate.add_argument(
        "--live",
        action="store_true",
        help="Also check whether a run could begin now: services, secrets, and what this site allows.",
    )
    validate.add_argument(
        "--var",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        dest="variables",
        help=f"With '--live'. {VARIABLE_HELP}",
    )
    add_vars_file(validate)
    export = add_verb(
        verbs, export_scenario, "export", "Write the stored document of a scenario, or of all, unchanged."
    )
    export.add_argument("name", nargs="?", default="", metavar="NAME", help="The scenario's name.")
    export.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="The file to write (default: standard output)."
    )
    export.add_argument(
        "--all", type=Path, metavar="FOLDER", dest="folder", help="Write every scenario to FOLDER/NAME.yaml."
    )


def list_scenarios(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_scenarios()
    columns = {
        "Name": [item.name for item in found],
        "Title": [item.title for item in found],
        "Last run": [item.last_run or "-" for item in found],
    }
    items = [_omit_document(item) for item in found]
    session.terminal.rows(items, columns, empty="No scenarios are stored; store some with 'scenario import'.")
    return exit_codes.DONE


def show_scenario(session: Session, name: str, **_options: Any) -> int:
    scenario = session.coordinator.find_scenario(name)
    runs = session.coordinator.list_runs(RunFilter(scenario=name, limit=RUNS_SHOWN))
    if session.terminal.wants_json:
        session.terminal.document({**asdict(scenario), "runs": runs})
    else:
        _show(session.terminal, scenario, runs)
    return exit_codes.DONE


def _show(terminal: Terminal, scenario: ScenarioFacts, runs: list[RunRecord] | Any) -> None:
    terminal.say(f"[bold]{escape_text(scenario.name)}[/bold]  {escape_text(scenario.title)}")
    if scenario.description:
        terminal.say("\n".join(escape_text(line) for line in scenario.description.strip().splitlines()))
    if scenario.tags:
        terminal.say(f"Tags: {escape_text(', '.join(scenario.tags))}")
    if scenario.changed_at:
        terminal.say(f"Changed: {scenario.changed_at:%Y-%m-%d %H:%M:%S}")
    for run in runs:
        terminal.say(f"Run {run.short_id}, {run.created_at:%Y-%m-%d %H:%M:%S}: {run.verdict}")
    terminal.say("")
    terminal.say("\n".join(escape_text(line) for line in scenario.document.splitlines()))


def validate_files(
    session: Session,
    files: list[Path],
    *,
    live: bool,
    variables: list[str],
    vars_files: list[Path],
    **_options: Any,
) -> int:
    terminal = session.terminal
    read, problems = read_files(
        session, find_files(files), describe=lambda file, _: f"{escape_text(file)}: valid"
    )
    found = {
        file: _check_live(session, file, document, (variables, vars_files)) for file, document in read if live
    }
    if terminal.wants_json:
        valid = [
            {"file": str(file), "name": document.name, **(asdict(found[file]) if live else {})}
            for file, document in read
        ]
        terminal.document({"valid": valid, "problems": [problem.as_json() for problem in problems]})
    refused = any(problem.refused for problem in problems)
    cannot_run = any(check.refusals or check.unreachable for check in found.values())
    return exit_codes.REFUSED if refused or cannot_run else exit_codes.DONE


def _check_live(
    session: Session, file: Path, document: ReadDocument, given: tuple[list[str], list[Path]]
) -> Preflight:
    try:
        found = session.coordinator.check_preflight(document.source, read_variables(*given))
    except InvalidVariables as error:
        found = Preflight(refusals=list(error.errors.values()))
    if not session.terminal.wants_json:
        session.terminal.say(f"{escape_text(file)}: {'cannot run now' if found.refusals else 'checked live'}")
        show_preflight(session.terminal, found)
    return found


def export_scenario(
    session: Session, name: str, output: Path | None, folder: Path | None, **_options: Any
) -> int:
    if bool(name) == bool(folder) or (folder and output):
        raise CommandRefused("Give either the name of a scenario or '--all FOLDER'.")
    if folder:
        return _export_all(session, folder)
    content = session.coordinator.find_scenario(name).document.encode()
    if output:
        replace_file(output, content)
    else:
        session.terminal.text(content)
    return exit_codes.DONE


def _export_all(session: Session, folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandRefused(f"Cannot create {str(folder)!r}: {error.strerror}.") from error
    for found in session.coordinator.list_scenarios():
        file = folder / f"{found.name}.yaml"
        replace_file(file, session.coordinator.find_scenario(found.name).document.encode())
        session.terminal.say(escape_text(file))
    return exit_codes.DONE


def _omit_document(scenario: ScenarioFacts) -> dict[str, Any]:
    return {word: value for word, value in asdict(scenario).items() if word != "document"}
