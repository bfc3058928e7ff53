"""The verbs stop, release, faults and undo."""

from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.confirmation import add_yes, confirm
from coordinator_client.command_line.coordinator import CommandRefused, FaultFilter
from coordinator_client.command_line.history_verbs import add_limit, check_limit
from coordinator_client.command_line.progress import Progress
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_run, add_verb
from coordinator_client.command_line.wording import format_count, quote_command
from coordinator_client.records import STATES_TO_UNDO, Fault


def add_to(verbs: Any) -> None:
    stop = add_verb(verbs, stop_run, "stop", "Stop a run, or all runs, and undo the faults.")
    add_run(stop, nargs="?", default="")
    stop.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="Pull the global stop: stop all runs, and let none begin.",
    )
    stop.add_argument(
        "--reason",
        default="",
        help="The reason, which the run shows; with '--all', everybody who waits sees it.",
    )
    add_yes(stop)
    add_verb(verbs, release, "release", "Release the global stop, so that runs may begin again.")
    faults = add_verb(verbs, list_faults, "faults", "List the faults of all runs, the newest first.")
    faults.add_argument(
        "--outstanding", action="store_true", help="List only faults that may still be injected."
    )
    add_run(faults, "--run", default="", help_text="List only those of this run.")
    add_completed(
        faults,
        "--service",
        completion.complete_services,
        default="",
        metavar="NAME",
        help_text="List only those at this service.",
    )
    add_limit(faults)
    undo = add_verb(verbs, undo_faults, "undo", "Undo the faults that a run has left behind.")
    add_run(undo)


def stop_run(session: Session, run: str, *, everything: bool, reason: str, yes: bool, **_options: Any) -> int:
    if everything == bool(run):
        raise CommandRefused("Give either the id of a run or '--all'.")
    if everything:
        confirm(
            session.terminal, "Stop all runs that have begun, and let none begin until the release?", yes=yes
        )
        return _stop_all(session, reason)
    found = session.coordinator.find_run(session.coordinator.find_run_id(run))
    if not session.coordinator.stop_run(found.id, reason):
        found = session.coordinator.find_run(found.id)
        if found.has_ended:
            session.terminal.result(found, f"Run {found.id} has already ended: {found.verdict}.")
            return exit_codes.DONE
    ended = Progress(session.coordinator, found.id, session.terminal).follow()
    if session.terminal.wants_json:
        session.terminal.document(ended)
    return exit_codes.LEFT_INJECTED if ended.rollback == "dirty" else exit_codes.DONE


def _stop_all(session: Session, reason: str) -> int:
    stopped = session.coordinator.pull_global_stop(reason or "no reason given")
    effect = (
        f"stopping {format_count(stopped, 'run')} and undoing their faults"
        if stopped
        else "no run was active"
    )
    session.terminal.result(
        {"stopped_runs": stopped},
        f"Pulled the global stop; {effect}. No run begins until {quote_command('release')}; "
        "those that wait begin then.",
    )
    return exit_codes.DONE


def release(session: Session, **_options: Any) -> int:
    was_pulled = session.coordinator.release_global_stop()
    words = "Runs may begin again." if was_pulled else "The global stop was not pulled; nothing to release."
    session.terminal.result({"released": was_pulled}, words)
    return exit_codes.DONE


def list_faults(
    session: Session, run: str, service: str, limit: int, *, outstanding: bool, **_options: Any
) -> int:
    run_id = session.coordinator.find_run_id(run) if run else ""
    which = FaultFilter(outstanding=outstanding, run=run_id, service=service, limit=check_limit(limit))
    found = session.coordinator.list_faults(which)
    columns: dict[str, list[object]] = {
        "Fault": [fault.id for fault in found],
        "Run": [fault.run[:8] for fault in found],
        "Scenario": [fault.scenario for fault in found],
        "Action": [fault.action for fault in found],
        "Where": [_format_place(fault) for fault in found],
        "State": [fault.status for fault in found],
        "Tries": [fault.undo_tries for fault in found],
        "Reason": [fault.reason for fault in found],
    }
    is_filtered = run or service
    ever = "No fault matches." if is_filtered else "No fault has ever been injected."
    nothing = "Nothing is left injected." if outstanding else ever
    session.terminal.rows(found, columns, empty=nothing)
    return exit_codes.DONE


def _format_place(fault: Fault) -> str:
    return fault.target or fault.service or (f"host {fault.host}" if fault.host else "-")


def undo_faults(session: Session, run: str, **_options: Any) -> int:
    left = session.coordinator.undo_faults(session.coordinator.find_run_id(run))
    injected = [fault for fault in left if fault.state in STATES_TO_UNDO]
    if session.terminal.wants_json:
        session.terminal.document({"items": left})
    for fault in left:
        if fault in injected:
            line = f"[red]{escape_text(fault.action)} is still injected[/red]: {escape_text(fault.reason)}"
        else:
            line = f"[yellow]{escape_text(fault.action)} is undone[/yellow]: {escape_text(fault.status)}"
        session.terminal.say(line)
    if not left:
        session.terminal.say("[green]Nothing is left injected.[/green]")
    return exit_codes.LEFT_INJECTED if injected else exit_codes.DONE
