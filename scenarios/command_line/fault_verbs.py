"""stop, release, faults, undo: what ends a run, and what it has left."""

from typing import Any

from scenarios.command_line import exit_codes
from scenarios.command_line.coordinator import CommandRefused
from scenarios.command_line.history_verbs import MAX_LISTED, check_limit
from scenarios.command_line.progress import Progress
from scenarios.command_line.terminal import escape_text
from scenarios.command_line.verbs import RUN_HELP, Session, add_verb
from scenarios.domain.counts import format_count
from scenarios.domain.outcomes import STATES_TO_UNDO, Rollback
from scenarios.records import FaultRecord


def add_to(verbs: Any) -> None:
    stop = add_verb(verbs, stop_run, "stop", "End a run, or all of them; faults are undone.")
    stop.add_argument("run", nargs="?", default="", metavar="RUN", help=RUN_HELP)
    stop.add_argument("--all", action="store_true", dest="everything", help="The global stop.")
    stop.add_argument("--reason", default="", help="Of the global stop; whoever waits is told.")
    add_verb(verbs, release, "release", "Release the global stop: runs may begin again.")
    faults = add_verb(verbs, list_faults, "faults", "Every fault of every run, the newest first.", shows=True)
    faults.add_argument("--outstanding", action="store_true", help="Only those that are not undone.")
    faults.add_argument("--limit", type=int, default=50, metavar="N", help=f"From 1 to {MAX_LISTED}.")
    undo = add_verb(verbs, undo_faults, "undo", "Undo what a run has left behind.")
    undo.add_argument("run", metavar="RUN", help=RUN_HELP)


def stop_run(session: Session, run: str, *, everything: bool, reason: str, **_options: Any) -> int:
    if everything == bool(run):
        raise CommandRefused("Name one run, or stop them all with '--all'.")
    if everything:
        return _stop_all(session, reason)
    found = session.coordinator.find_run(session.coordinator.find_run_id(run))
    if not session.coordinator.stop_run(found.id):
        found = session.coordinator.find_run(found.id)
        if found.has_ended:
            session.terminal.say(f"Run {found.id} is {found.verdict}: there is nothing to stop.")
            return exit_codes.DONE
    ended = Progress(session.coordinator, found.id, session.terminal).follow()
    return exit_codes.LEFT_INJECTED if ended.rollback == Rollback.DIRTY else exit_codes.DONE


def _stop_all(session: Session, reason: str) -> int:
    stopped = session.coordinator.pull_global_stop(reason or "no reason given")
    session.terminal.say(
        f"Being stopped: {format_count(stopped, 'run')}; faults are undone first. No run begins until "
        "'manage.py scenario release'."
    )
    return exit_codes.DONE


def release(session: Session, **_options: Any) -> int:
    was_pulled = session.coordinator.release_global_stop()
    session.terminal.say("Runs may begin again." if was_pulled else "The global stop was not pulled.")
    return exit_codes.DONE


def list_faults(session: Session, *, outstanding: bool, limit: int, **_options: Any) -> int:
    found = session.coordinator.list_faults(outstanding=outstanding, limit=check_limit(limit))
    columns: dict[str, list[object]] = {
        "Run": [fault.run[:8] for fault in found],
        "Scenario": [fault.scenario for fault in found],
        "Fault": [fault.action for fault in found],
        "Where": [_format_place(fault) for fault in found],
        "State": [fault.standing for fault in found],
        "Tries": [fault.undo_tries for fault in found],
        "Reason": [fault.reason for fault in found],
    }
    nothing = "Nothing is left injected." if outstanding else "No fault was ever injected."
    session.terminal.rows(found, columns, empty=nothing)
    return exit_codes.DONE


def _format_place(fault: FaultRecord) -> str:
    return fault.service or (f"host {fault.host}" if fault.host else "-")


def undo_faults(session: Session, run: str, **_options: Any) -> int:
    left = session.coordinator.undo_faults(session.coordinator.find_run_id(run))
    injected = [fault for fault in left if fault.state in STATES_TO_UNDO]
    for fault in left:
        if fault in injected:
            line = f"[red]{escape_text(fault.action)} is still injected[/red]: {escape_text(fault.reason)}"
        else:
            line = f"[yellow]{escape_text(fault.action)} is undone[/yellow]: {escape_text(fault.standing)}"
        session.terminal.say(line)
    if not left:
        session.terminal.say("[green]Nothing is left injected.[/green]")
    return exit_codes.LEFT_INJECTED if injected else exit_codes.DONE
