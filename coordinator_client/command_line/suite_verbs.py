"""The verbs `suite run`, `list`, `show`, `stop`, `import`, `export` and `delete`."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.confirmation import add_yes, confirm
from coordinator_client.command_line.deletions import describe_users, list_schedules, warn_of_schedules
from coordinator_client.command_line.export_verb import write_document
from coordinator_client.command_line.files import check_writable, parse_output, parse_report, replace_file
from coordinator_client.command_line.import_verb import add_import
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import Session, Verb, add_completed, add_group, add_verb
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import UnavailableError
from coordinator_client.records import MatrixCell, SuiteRun, TriedCell

# Waits this long for a coordinator that is restarted or unreachable, because the suite continues.
MAX_OUTAGE_SECONDS = 60.0
COLOURS = {
    "survived": "green",
    "degraded": "yellow",
    "failed": "red",
    "errored": "red",
    "skipped": "default",
}


def add_to(verbs: Any) -> None:
    group = add_group(verbs, "suite", "Run and store suites, and show what services survive.")
    help_text = "Run a suite and follow it until it ends. The exit code is 0 only if no cell failed."
    running = _add_named(group, run_suite, "run", help_text)
    running.add_argument(
        "--junit",
        type=parse_report,
        metavar="FILE",
        help="Write a JUnit report to FILE when the suite has ended.",
    )
    add_verb(group, list_suites, "list", "List the suites, with their states.")
    _add_named(group, show_suite, "show", "Show the matrix of a suite.")
    _add_named(group, stop_suite, "stop", "Stop the run of a suite; faults are undone first.")
    add_import(group, "Store suites, as 'import' does, which takes scenarios and suites.")
    export = _add_named(group, export_suite, "export", "Write the stored document of a suite, unchanged.")
    export.add_argument(
        "-o",
        "--output",
        type=parse_output,
        metavar="FILE",
        help="The file to write (default: standard output).",
    )
    add_yes(_add_named(group, delete_suite, "delete", "Delete a suite; its runs stay.", aliases=("remove",)))


def _add_named(verbs: Any, function: Verb, name: str, help_text: str, aliases: Sequence[str] = ()) -> Any:
    parser = add_verb(verbs, function, name, help_text, aliases=aliases)
    add_completed(parser, "name", completion.complete_suites, help_text="The suite's name.", metavar="NAME")
    return parser


def list_suites(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_suites()
    columns = {
        "Name": [suite.name for suite in found],
        "Service": [suite.service for suite in found],
        "State": [_format_state(suite.state) for suite in found],
        "Cells": [format_counts(suite.counts) for suite in found],
    }
    hint = f"No suites are stored; store some with {quote_command('import')}."
    session.terminal.rows(found, columns, empty=hint)
    return exit_codes.DONE


def show_suite(session: Session, name: str, **_options: Any) -> int:
    matrix = session.coordinator.read_matrix(name)
    terminal = session.terminal
    if terminal.wants_json:
        terminal.document(matrix)
        return exit_codes.DONE
    terminal.say(f"[bold]{escape_text(matrix.suite)}[/bold]  {escape_text(matrix.title)}")
    terminal.say(escape_text(matrix.words))
    cells = matrix.cells
    columns = {
        "Dependency": [cell.dependency for cell in cells],
        "Must": [cell.must for cell in cells],
        "Fault": [cell.fault for cell in cells],
        "State": [_format_state(cell.state) for cell in cells],
        "Run": [(cell.run or "-")[:8] for cell in cells],
        "Proved": [f"{cell.proved_at:%Y-%m-%d}" if cell.proved_at else "-" for cell in cells],
        "Reason": [_choose_reason(cell) for cell in cells],
    }
    terminal.rows(cells, columns, empty="The suite has no cells.")
    return exit_codes.DONE


def stop_suite(session: Session, name: str, **_options: Any) -> int:
    is_stopping = session.coordinator.stop_suite(name)
    state = "is stopping; its faults are undone first" if is_stopping else "is not running"
    session.terminal.result({"suite": name, "stopping": is_stopping}, f"Suite {escape_text(name)} {state}.")
    return exit_codes.DONE


def export_suite(session: Session, name: str, output: Path | None, **_options: Any) -> int:
    write_document(session.terminal, name, session.coordinator.read_suite_document(name), output)
    return exit_codes.DONE


def delete_suite(session: Session, name: str, *, yes: bool, **_options: Any) -> int:
    schedules = list_schedules(session.coordinator, {("suite", name)})
    confirm(session.terminal, f"Delete suite {name!r}{describe_users(schedules)}?", yes=yes)
    session.coordinator.delete_suite(name)
    warn_of_schedules(session.terminal, schedules)
    session.terminal.result({"deleted": name}, f"Suite {escape_text(name)} is deleted.")
    return exit_codes.DONE


def run_suite(session: Session, name: str, junit: Path | None, **_options: Any) -> int:
    if junit is not None:
        check_writable(junit)
    suite_run = session.coordinator.start_suite(name)
    try:
        suite_run = _follow(session, suite_run)
    except (KeyboardInterrupt, BrokenPipeError):
        command = quote_command(f"suite stop {name}")
        session.terminal.complain(f"The suite continues; stop it with {command}.")
        raise
    if junit is not None:
        replace_file(junit, session.coordinator.render_suite_report(suite_run.id))
    terminal = session.terminal
    if terminal.wants_json:
        terminal.document(suite_run)
    colour = "green" if suite_run.status == "passed" else "red"
    verdict = f"[bold {colour}]{escape_text(suite_run.status.upper())}[/bold {colour}]"
    terminal.say(f"{verdict}: {escape_text(suite_run.reason)}")
    return exit_codes.OUTCOME_CODES[suite_run.status]


def _follow(session: Session, suite_run: SuiteRun) -> SuiteRun:
    """Show each cell when it is decided, until the last one is."""
    shown = _Shown(session.terminal)
    heard_at = time.monotonic()
    while True:
        shown.show(suite_run)
        if suite_run.has_ended:
            return suite_run
        session.terminal.check_reader()
        time.sleep(session.coordinator.suite_poll_seconds)
        try:
            suite_run = session.coordinator.find_suite_run(suite_run.id)
            heard_at = time.monotonic()
        except UnavailableError:
            if time.monotonic() - heard_at > MAX_OUTAGE_SECONDS:
                raise


class _Shown:
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decided: set[tuple[str, str]] = set()
        self._waits_for = ""

    def show(self, suite_run: SuiteRun) -> None:
        for cell in suite_run.cells:
            key = (cell.dependency, cell.fault)
            if cell.state in COLOURS and key not in self._decided:
                self._decided.add(key)
                self._say(cell)
            elif cell.state == "running" and cell.waiting_for != self._waits_for:
                self._waits_for = cell.waiting_for
                if self._waits_for:
                    words = escape_text(f"{cell.dependency}, {cell.fault}: waiting: {self._waits_for}.")
                    self._terminal.say(f"[yellow]{words}[/yellow]")

    def _say(self, cell: TriedCell) -> None:
        run = f" (run {cell.run[:8]})" if cell.run else ""
        reason = f": {cell.reason}" if cell.reason else ""
        place = escape_text(f"{cell.dependency}, {cell.fault}{run}{reason}")
        colour = COLOURS[cell.state]
        self._terminal.say(f"[{colour}]{cell.state:<9}[/{colour}] {place}")


def format_counts(counts: Mapping[str, Any]) -> str:
    found = (f"{count} {_format_state(state)}" for state, count in counts.items() if count)
    return ", ".join(found) or "-"


def _format_state(state: str) -> str:
    return state.replace("_", " ")


def _choose_reason(cell: MatrixCell) -> str:
    return cell.obstacle if cell.state == "skipped" else cell.reason
