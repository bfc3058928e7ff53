"""The verbs list, show, validate and versions."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import (
    NotFound,
    ReadDocument,
    RunFilter,
    ScenarioNotFound,
)
from coordinator_client.command_line.files import find_files
from coordinator_client.command_line.given_variables import read_variables
from coordinator_client.command_line.history_verbs import add_limit, check_limit
from coordinator_client.command_line.reading import (
    FileProblem,
    Place,
    ReadFile,
    list_findings,
    read_files,
    show_preflight,
)
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import (
    VARIABLE_HELP,
    Session,
    add_completed,
    add_variables,
    add_vars_file,
    add_verb,
    parse_number,
)
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import InvalidVariablesError
from coordinator_client.records import PlannedRun, Run, Scenario

RUNS_SHOWN = 5
FILES_HELP = (
    "Files with one document, or several between lines of '---', or folders with such files (.yaml, .yml, "
    ".json), or '-' for standard input."
)


def add_to(verbs: Any) -> None:
    listing = add_verb(
        verbs,
        list_scenarios,
        "list",
        "List the stored scenarios, with the verdict of the last run.",
    )
    listing.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        dest="tags",
        help="List only those with this tag. Can be repeated, for those with all of these.",
    )
    listing.add_argument(
        "--search",
        default="",
        metavar="TEXT",
        dest="text",
        help="List only those with this text in the name, the title or the description.",
    )
    listing.add_argument("--limit", type=parse_number, metavar="N", help="List at most N (default: all).")
    show = add_verb(verbs, show_scenario, "show", "Show a scenario, its last runs and its document.")
    _add_name(show)
    validate = add_verb(verbs, validate_files, "validate", "Validate documents, without storing them.")
    validate.add_argument("files", nargs="+", type=Path, help=FILES_HELP)
    validate.add_argument(
        "--live",
        action="store_true",
        help="Also check whether a run could begin now: services, secrets, and what this site allows.",
    )
    add_variables(validate, help_text=f"With '--live'. {VARIABLE_HELP}")
    add_vars_file(validate)
    _add_versions(verbs)


def _add_versions(verbs: Any) -> None:
    versions = add_verb(verbs, list_versions, "versions", "List the versions of a scenario, or show one.")
    _add_name(versions)
    versions.add_argument(
        "--show", type=parse_number, metavar="N", help="Write the document of version N instead."
    )
    add_limit(versions)


def _add_name(parser: ArgumentParser, **how: Any) -> None:
    add_completed(
        parser,
        "name",
        completion.complete_scenarios,
        metavar="NAME",
        help_text="The scenario's name.",
        **how,
    )


def list_scenarios(session: Session, tags: list[str], text: str, limit: int | None, **_options: Any) -> int:
    limit = None if limit is None else check_limit(limit)
    first, others = "".join(tags[:1]), set(tags[1:])
    asked = session.coordinator.list_scenarios(first, text, None if others else limit)
    found = [item for item in asked if others <= set(item.tags)][:limit]
    columns = {
        "Name": [scenario.name for scenario in found],
        "Title": [scenario.title for scenario in found],
        "Last run": [scenario.last_run.verdict if scenario.last_run else "-" for scenario in found],
    }
    items = [_omit_document(scenario) for scenario in found]
    hint = f"No scenarios are stored; store some with {quote_command('import')}."
    if tags:
        named = escape_text(" and ".join(map(repr, tags)))
        hint = f"No scenario has the {'tag' if len(tags) == 1 else 'tags'} {named}."
    hint = "No scenarios match." if text else hint
    session.terminal.rows(items, columns, empty=hint)
    return exit_codes.DONE


def show_scenario(session: Session, name: str, **_options: Any) -> int:
    scenario = session.coordinator.find_scenario(name)
    runs = session.coordinator.list_runs(RunFilter(scenario=name, limit=RUNS_SHOWN))
    if session.terminal.wants_json:
        document = {"document": scenario.document, "runs": runs}
        session.terminal.document({**_omit_document(scenario), **document})
    else:
        _show(session.terminal, scenario, runs)
    return exit_codes.DONE


def _show(terminal: Terminal, scenario: Scenario, runs: Sequence[Run]) -> None:
    terminal.say(f"[bold]{escape_text(scenario.name)}[/bold]  {escape_text(scenario.title)}")
    if scenario.description:
        terminal.say("\n".join(escape_text(line) for line in scenario.description.strip().splitlines()))
    if scenario.tags:
        terminal.say(f"Tags: {escape_text(', '.join(scenario.tags))}")
    if scenario.changed_at:
        terminal.say(f"Changed: {scenario.changed_at:%Y-%m-%d %H:%M:%S} UTC")
    for run in runs:
        terminal.say(f"Run {run.short_id}, {run.created_at:%Y-%m-%d %H:%M:%S} UTC: {run.verdict}")
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
        session, find_files(files), describe=lambda place, _: f"{escape_text(place)}: valid"
    )
    found = {
        place: _check_live(session, place, document, (variables, vars_files))
        for place, document in read
        if live
    }
    if terminal.wants_json:
        valid = [
            {**place.as_json(), "name": document.name, **(list_findings(found[place]) if live else {})}
            for place, document in read
        ]
        terminal.document({"valid": valid, "problems": [problem.as_json() for problem in problems]})
    else:
        _say_how_many_are_valid(terminal, read, problems)
    refused = any(problem.refused for problem in problems)
    cannot_run = any(check.refusals or check.unreachable for check in found.values())
    return exit_codes.REFUSED if refused or cannot_run else exit_codes.DONE


def _say_how_many_are_valid(
    terminal: Terminal, read: Sequence[ReadFile], problems: Sequence[FileProblem]
) -> None:
    """The last line for several documents; one has its own line."""
    wrong = len({(problem.file, problem.document) for problem in problems if problem.refused})
    documents = len(read) + wrong
    if documents == 1:
        return
    if wrong:
        terminal.say(f"[red]{wrong} of {documents} documents {'is' if wrong == 1 else 'are'} invalid.[/red]")
    else:
        terminal.say(f"[green]All {documents} documents are valid.[/green]")


def _check_live(
    session: Session, place: Place, document: ReadDocument, given: tuple[list[str], list[Path]]
) -> PlannedRun:
    try:
        found = session.coordinator.plan_run(document.source, read_variables(*given))
    except InvalidVariablesError as error:
        found = PlannedRun(refusals=list(error.variables.values()))
    if not session.terminal.wants_json:
        state = "cannot run now" if found.refusals else "checked live"
        session.terminal.say(f"{escape_text(place)}: {state}")
        show_preflight(session.terminal, found)
    return found


def list_versions(session: Session, name: str, show: int | None, limit: int, **_options: Any) -> int:
    terminal = session.terminal
    if show is not None:
        version = session.coordinator.find_version(name, show)
        if terminal.wants_json:
            terminal.document(version)
        else:
            terminal.text(version.document.encode())
        return exit_codes.DONE
    try:
        found = session.coordinator.list_versions(name, check_limit(limit))
    except ScenarioNotFound as error:
        hint = "A deleted scenario gets its versions back when it is imported again."
        raise NotFound(f"{error} {hint}") from error
    columns: dict[str, list[object]] = {
        "Version": [version.version for version in found],
        "At (UTC)": [f"{version.at:%Y-%m-%d %H:%M:%S}" for version in found],
        "By": [version.by or "-" for version in found],
        "Change": [version.change or "-" for version in found],
        "Stored now": ["yes" if version.current else "-" for version in found],
    }
    terminal.rows(found, columns, empty="There are no versions.")
    return exit_codes.DONE


def _omit_document(scenario: Scenario) -> dict[str, Any]:
    return {word: value for word, value in scenario.raw.items() if word != "document"}
