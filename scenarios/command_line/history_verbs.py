"""The verbs runs and report."""

from pathlib import Path
from typing import Any

from scenarios.command_line import exit_codes
from scenarios.command_line.coordinator import CommandRefused, RunFilter
from scenarios.command_line.files import replace_file
from scenarios.command_line.verbs import RUN_HELP, Session, add_verb
from scenarios.domain.outcomes import Outcome, RunState
from scenarios.reports import FORMATS

STATUSES = [word.value for word in (*RunState, *Outcome)]
MAX_LISTED = 1000


def add_to(verbs: Any) -> None:
    runs = add_verb(verbs, list_runs, "runs", "List the newest runs.", shows=True)
    runs.add_argument("--scenario", default="", metavar="NAME", help="List only runs of this scenario.")
    runs.add_argument(
        "--status", default="", choices=STATUSES, help="List only runs with this state or outcome."
    )
    runs.add_argument(
        "--limit",
        type=int,
        default=20,
        metavar="N",
        help=f"List at most N, from 1 to {MAX_LISTED} (default: 20).",
    )
    report = add_verb(
        verbs, write_report, "report", "Write the report of a run, the same as in the admin site."
    )
    report.add_argument("run", metavar="RUN", help=RUN_HELP)
    report.add_argument(
        "--format", choices=list(FORMATS), default="html", dest="format_name", help="Default: html."
    )
    report.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="The file to write (default: standard output)."
    )


def check_limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LISTED:
        raise CommandRefused(f"Invalid '--limit' {limit!r}; choose a number from 1 to {MAX_LISTED}.")
    return limit


def list_runs(session: Session, scenario: str, status: str, limit: int, **_options: Any) -> int:
    found = session.coordinator.list_runs(RunFilter(scenario, status, check_limit(limit)))
    columns = {
        "Run": [run.short_id for run in found],
        "Scenario": [run.scenario for run in found],
        "Queued": [f"{run.created_at:%Y-%m-%d %H:%M:%S}" for run in found],
        "Verdict": [run.verdict for run in found],
        "Reason": [run.reason or run.waiting_for for run in found],
    }
    session.terminal.rows(found, columns, empty="No runs match.")
    return exit_codes.DONE


def write_report(session: Session, run: str, format_name: str, output: Path | None, **_options: Any) -> int:
    content = session.coordinator.render_report(session.coordinator.find_run_id(run), format_name)
    if output is None:
        session.terminal.text(content)
    else:
        replace_file(output, content)
    return exit_codes.DONE
