"""What the verbs say of deletions: of the schedules that lose what they start, and of slow deletions."""

from collections.abc import Collection, Sequence
from contextlib import suppress

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.coordinator import Coordinator
from coordinator_client.command_line.terminal import Terminal, escape_text
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import CoordinatorError
from coordinator_client.records import Deletion, Schedule


def list_schedules(coordinator: Coordinator, removed: Collection[tuple[str, str]]) -> Sequence[Schedule]:
    """The schedules that start one of these, such as `("suite", "shop")`.

    None if the user may not see schedules.
    """
    if not removed:
        return []
    with suppress(CoordinatorError):
        return [found for found in coordinator.list_schedules() if find_subject(found) in removed]
    return []


def find_subject(schedule: Schedule) -> tuple[str, str]:
    return ("suite", schedule.suite) if schedule.suite else ("scenario", schedule.scenario)


def describe_users(schedules: Sequence[Schedule]) -> str:
    """For a question whether to delete what they start."""
    users = [f"schedule {schedule.name!r}" for schedule in schedules]
    return f", which {' and '.join(users)} {'names' if len(users) == 1 else 'name'}" if users else ""


def warn_of_schedules(terminal: Terminal, schedules: Sequence[Schedule], *, done: bool = True) -> None:
    for schedule in schedules:
        _, name = find_subject(schedule)
        state = "still names" if done else "names"
        can = "can" if done else "could then"
        terminal.complain(f"Schedule {schedule.name!r} {state} {name!r} and {can} start no run of it.")


def show_deletion(terminal: Terminal, deletion: Deletion, keep: str) -> int:
    """`keep` is the command that withdraws it."""
    sentence = (
        f"{deletion.kind.capitalize()} {escape_text(deletion.name)} is being deleted by the watchdog, "
        f"because many rows refer to it: {deletion.left} of {deletion.total} are left. The same command "
        f"shows how far it is, and {escape_text(quote_command(keep))} withdraws it."
    )
    if deletion.waiting_for:
        sentence += f" It does not go on: {escape_text(deletion.waiting_for)}."
    terminal.result({"being_deleted": deletion}, sentence)
    return exit_codes.DONE


def show_kept(terminal: Terminal, withdrawn: Deletion) -> int:
    kind, name = withdrawn.kind.capitalize(), escape_text(withdrawn.name)
    sentence = f"{kind} {name} is kept: its deletion is withdrawn."
    if gone := withdrawn.total - withdrawn.left:
        sentence += f" {gone} of {withdrawn.total} rows no longer refer to it, and this stays so."
    terminal.result({"kept": withdrawn.name, "deletion": withdrawn}, sentence)
    return exit_codes.DONE
