"""The verbs delete and keep, of scenarios."""

from argparse import ArgumentParser
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.confirmation import add_yes, confirm
from coordinator_client.command_line.deletions import (
    describe_users,
    list_schedules,
    show_deletion,
    show_kept,
    warn_of_schedules,
)
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_verb


def add_to(verbs: Any) -> None:
    delete = add_verb(verbs, delete_scenario, "delete", "Delete a scenario; its runs stay.")
    _add_name(delete)
    add_yes(delete)
    _add_name(add_verb(verbs, keep_scenario, "keep", "Withdraw the deletion of a scenario that goes on."))


def _add_name(parser: ArgumentParser) -> None:
    add_completed(
        parser, "name", completion.complete_scenarios, metavar="NAME", help_text="The scenario's name."
    )


def delete_scenario(session: Session, name: str, *, yes: bool, **_options: Any) -> int:
    session.coordinator.find_scenario(name)  # before a question that would be about nothing
    schedules = list_schedules(session.coordinator, {("scenario", name)})
    confirm(session.terminal, f"Delete scenario {name!r}{describe_users(schedules)}?", yes=yes)
    deletion = session.coordinator.delete_scenario(name)
    warn_of_schedules(session.terminal, schedules)
    if deletion is None:
        session.terminal.result({"deleted": name}, f"Scenario {escape_text(name)} is deleted.")
        return exit_codes.DONE
    return show_deletion(session.terminal, deletion, f"keep {name}")


def keep_scenario(session: Session, name: str, **_options: Any) -> int:
    return show_kept(session.terminal, session.coordinator.keep_scenario(name))
