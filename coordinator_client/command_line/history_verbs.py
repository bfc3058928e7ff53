"""The verbs runs and report."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import CommandRefused, RunFilter
from coordinator_client.command_line.files import replace_file
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.verbs import RUN_HELP, Session, add_completed, add_verb
from coordinator_client.records import OUTCOMES, REPORT_FORMATS, STATES, Run

STATUSES = (*STATES, *OUTCOMES)
MAX_LISTED = 1000
WATCH_SECONDS = 2.0


def add_to(verbs: Any) -> None:
    runs = add_verb(verbs, list_runs, "runs", "List the newest runs.")
    add_completed(
        runs,
        "--scenario",
        completion.complete_scenarios,
        default="",
        metavar="NAME",
        help_text="List only runs of this scenario.",
    )
    runs.add_argument(
        "--status", default="", choices=STATUSES, help="List only runs with this state or outcome."
    )
    add_limit(runs, default=20)
    runs.add_argument(
        "--watch", action="store_true", help="Stay, and show a run again whenever its status changes."
    )
    report = add_verb(
        verbs, write_report, "report", "Write the report of a run, the same as in the admin site."
    )
    report.add_argument("run", metavar="RUN", help=RUN_HELP)
    report.add_argument(
        "--format", choices=REPORT_FORMATS, default=None, dest="format_name", help="Default: html."
    )
    report.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="The file to write (default: standard output)."
    )


def add_limit(parser: ArgumentParser, default: int = 50) -> None:
    parser.add_argument(
        "--limit",
        type=int,
        default=default,
        metavar="N",
        help=f"List at most N, from 1 to {MAX_LISTED} (default: {default}).",
    )


def check_limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LISTED:
        raise CommandRefused(f"Invalid '--limit' {limit!r}; choose a number from 1 to {MAX_LISTED}.")
    return limit


def list_runs(
    session: Session, scenario: str, status: str, limit: int, *, watch: bool, **_options: Any
) -> int:
    which = RunFilter(scenario, status, check_limit(limit))
    if watch:
        return _watch_runs(session, which)
    found = session.coordinator.list_runs(which)
    columns = {
        "Run": [run.short_id for run in found],
        "Scenario": [run.scenario for run in found],
        "Queued": [f"{run.created_at:%Y-%m-%d %H:%M:%S}" for run in found],
        "Verdict": [run.verdict for run in found],
        "Reason": [run.reason or run.waiting_for for run in found],
    }
    session.terminal.rows(found, columns, empty="No runs match.")
    return exit_codes.DONE


def _watch_runs(session: Session, which: RunFilter) -> int:
    """As `kubectl get --watch`: a line for each run, and one more for each change."""
    shown: dict[str, str] = {}
    while True:
        for run in reversed(session.coordinator.list_runs(which)):
            if shown.get(run.id) != run.verdict:
                shown[run.id] = run.verdict
                _show_change(session.terminal, run)
        time.sleep(WATCH_SECONDS)


def _show_change(terminal: Terminal, run: Run) -> None:
    if terminal.wants_json:
        terminal.line(run)
        return
    reason = run.reason or run.waiting_for
    because = f": {escape_text(reason)}" if reason else ""
    terminal.say(f"{run.short_id}  {escape_text(run.scenario)}  {escape_text(run.verdict)}{because}")


def write_report(
    session: Session, run: str, format_name: str | None, output: Path | None, **_options: Any
) -> int:
    format_name = format_name or ("json" if session.terminal.wants_json else "html")
    content = session.coordinator.render_report(session.coordinator.find_run_id(run), format_name)
    if output is None:
        session.terminal.text(content)
    else:
        replace_file(output, content)
    return exit_codes.DONE
