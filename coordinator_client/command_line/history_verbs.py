"""The verbs runs, status and report."""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import CommandRefused, FaultFilter, RunFilter
from coordinator_client.command_line.files import parse_output, replace_file
from coordinator_client.command_line.moments import parse_moment
from coordinator_client.command_line.terminal import Terminal, add_earlier_run_names, escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_run, add_verb, parse_number
from coordinator_client.command_line.wording import format_value
from coordinator_client.records import (
    OUTCOMES,
    REPORT_FORMATS,
    ROLLBACKS,
    STATES,
    STATES_TO_UNDO,
    Fault,
    Run,
)

STATUSES = (*STATES, *OUTCOMES)
MAX_LISTED = 1000
WATCH_SECONDS = 2.0
ENDINGS = {".html": "html", ".htm": "html", ".json": "json", ".xml": "junit"}
"""The format of a report by its file; every other is Markdown, which people can read in a terminal."""


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
    add_completed(
        runs,
        "--environment",
        completion.complete_environments,
        default="",
        metavar="NAME",
        help_text="List only runs in this environment.",
    )
    runs.add_argument(
        "--status",
        action="append",
        default=[],
        choices=STATUSES,
        metavar="STATUS",
        dest="statuses",
        help=f"List only runs with this state or outcome: {', '.join(STATUSES)}. Can be repeated, for runs "
        "with one of these.",
    )
    _add_filters(runs)
    add_limit(runs, default=20)
    runs.add_argument(
        "--watch", action="store_true", help="Keep running, and show a run again when its status changes."
    )
    status = add_verb(verbs, show_status, "status", "Show a run, and its faults that are still injected.")
    add_run(status)
    report = add_verb(
        verbs, write_report, "report", "Write the report of a run, the same as in the admin site."
    )
    add_run(report)
    report.add_argument(
        "--format",
        choices=REPORT_FORMATS,
        default=None,
        dest="format_name",
        help="Default: that of FILE's ending, json with '--json', else md.",
    )
    report.add_argument(
        "-o",
        "--output",
        type=parse_output,
        metavar="FILE",
        help="The file to write (default: standard output).",
    )


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rollback", default="", choices=ROLLBACKS, help="List only runs whose faults ended like this."
    )
    parser.add_argument(
        "--since",
        type=parse_moment,
        metavar="TIME",
        help="List only runs requested since this time, this date, or so long ago, such as 90m, 24h or 7d.",
    )
    parser.add_argument(
        "--until",
        type=parse_moment,
        metavar="TIME",
        help="List only runs requested until this time, in the same forms.",
    )
    parser.add_argument("--by", default="", metavar="USER", help="List only runs requested by this user.")


def add_limit(parser: ArgumentParser, default: int = 50) -> None:
    parser.add_argument(
        "--limit",
        type=parse_number,
        default=default,
        metavar="N",
        help=f"List at most N, from 1 to {MAX_LISTED} (default: {default}).",
    )


def check_limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LISTED:
        raise CommandRefused(f"Invalid '--limit' {limit!r}; choose a number from 1 to {MAX_LISTED}.")
    return limit


def list_runs(session: Session, limit: int, *, watch: bool, statuses: list[str], **options: Any) -> int:
    names = ("scenario", "environment", "rollback", "since", "until", "by")
    which = RunFilter(**{name: options[name] for name in names}, limit=check_limit(limit))
    if watch:
        return _watch_runs(session, which, statuses)
    found = _find_runs(session, which, statuses)
    columns = {
        "Run": [run.short_id for run in found],
        "Scenario": [run.scenario for run in found],
        "Queued (UTC)": [f"{run.created_at:%Y-%m-%d %H:%M:%S}" for run in found],
        "Verdict": [run.verdict for run in found],
        "Reason": [run.reason or run.waiting_for for run in found],
    }
    session.terminal.rows(found, columns, empty="No runs match.")
    return exit_codes.DONE


def _find_runs(session: Session, which: RunFilter, statuses: Sequence[str]) -> Sequence[Run]:
    """The newest runs with one of the statuses; all, if none is given.

    States are asked for before outcomes, so that a run that ends meanwhile is not missed.
    """
    asked = [status for status in STATUSES if status in statuses] or [""]
    list_runs = session.coordinator.list_runs
    found = {run.id: run for status in asked for run in list_runs(replace(which, status=status))}
    newest = sorted(found.values(), key=lambda run: (run.created_at, run.id), reverse=True)
    return newest[: which.limit]


def _watch_runs(session: Session, which: RunFilter, statuses: Sequence[str]) -> int:
    """As `kubectl get --watch`: a line for each run, and one more for each change."""
    shown: dict[str, str] = {}
    while True:
        for run in reversed(_find_runs(session, which, statuses)):
            if shown.get(run.id) != run.verdict:
                shown[run.id] = run.verdict
                _show_change(session.terminal, run)
        session.terminal.check_reader()
        time.sleep(WATCH_SECONDS)


def _show_change(terminal: Terminal, run: Run) -> None:
    if terminal.wants_json:
        terminal.line(run)
        return
    reason = run.reason or run.waiting_for
    because = f": {escape_text(reason)}" if reason else ""
    terminal.say(f"{run.short_id}  {escape_text(run.scenario)}  {escape_text(run.verdict)}{because}")


def show_status(session: Session, run: str, **_options: Any) -> int:
    found = session.coordinator.find_run(session.coordinator.find_run_id(run))
    which = FaultFilter(outstanding=found.has_ended, run=found.id, limit=MAX_LISTED)
    faults = session.coordinator.list_faults(which)
    left = [fault for fault in faults if fault.outstanding or fault.state in STATES_TO_UNDO]
    if session.terminal.wants_json:
        session.terminal.document({**add_earlier_run_names(found.raw), "faults": left})
    else:
        session.terminal.say("\n".join([*_describe_run(found), *map(_describe_left, left)]))
    return exit_codes.DONE


def _describe_run(run: Run) -> list[str]:
    times = (("Queued", run.created_at), ("Began", run.started_at), ("Ended", run.finished_at))
    by = f" by {run.created_by}" if run.created_by else ""
    facts = [
        ("Reason", run.reason),
        ("Waiting", run.waiting_for),
        ("Stopping", "its faults are being undone" if run.stopping and not run.has_ended else ""),
        *((f"{name} (UTC)", f"{moment:%Y-%m-%d %H:%M:%S}") for name, moment in times if moment),
        ("Requested", f"{run.origin}{by}"),
        ("Variables", ", ".join(f"{name}={format_value(value)}" for name, value in run.variables.items())),
        ("Page", run.url),
    ]
    head = f"[bold]{escape_text(run.scenario)}[/bold], run {run.id}: [bold]{escape_text(run.verdict)}[/bold]"
    return [head, *(f"{name}: {escape_text(value)}" for name, value in facts if value)]


def _describe_left(fault: Fault) -> str:
    reason = f": {escape_text(fault.reason)}" if fault.reason else ""
    colour = "red" if fault.outstanding else "yellow"  # which the run itself will undo
    words = escape_text(f"Fault {fault.id}, {fault.action}, {fault.status}")
    return f"[{colour}]{words}[/{colour}]{reason}"


def write_report(
    session: Session, run: str, format_name: str | None, output: Path | None, **_options: Any
) -> int:
    if format_name is None:
        ending = output.suffix.lower() if output is not None else ""
        format_name = "json" if session.terminal.wants_json else ENDINGS.get(ending, "md")
    if session.terminal.wants_json and format_name != "json":
        raise CommandRefused(f"'--json' and '--format {format_name}' exclude each other; give one of them.")
    content = session.coordinator.render_report(session.coordinator.find_run_id(run), format_name)
    if output is None:
        session.terminal.text(content)
    else:
        replace_file(output, content)
    return exit_codes.DONE
