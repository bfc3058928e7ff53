"""The verb `allow-list`, with list, show, set and reset."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, Verb, add_group, add_verb
from coordinator_client.records import AllowList


def add_to(verbs: Any) -> None:
    group = add_group(
        verbs,
        "allow-list",
        "Narrow what steps may do on the coordinator, and where they connect to.",
    )
    add_verb(group, list_allow_lists, "list", "List the allow lists.")
    _add_named(group, show_allow_list, "show", "Show an allow list.")
    changed = _add_named(group, set_allow_list, "set", "Allow only these entries, at once.")
    changed.add_argument(
        "entries", nargs="*", metavar="ENTRY", help="Such as systemctl or 10.1.0.0/16; without any, nothing."
    )
    _add_named(group, reset_allow_list, "reset", "Allow all that the setting allows again.")


def _add_named(verbs: Any, function: Verb, name: str, help_text: str) -> ArgumentParser:
    parser = add_verb(verbs, function, name, help_text)
    parser.add_argument("name", metavar="NAME", help="commands, pidfile-dirs or networks.")
    return parser


def list_allow_lists(session: Session, **_options: Any) -> int:
    found = session.coordinator.list_allow_lists()
    columns = {
        "Name": [each.name for each in found],
        "Allowed now": [_format_allowed(each) for each in found],
        "Setting": [each.setting for each in found],
        "Changed by": [each.changed_by or "-" for each in found],
    }
    session.terminal.rows(found, columns, empty="There are no allow lists.")
    return exit_codes.DONE


def show_allow_list(session: Session, name: str, **_options: Any) -> int:
    return _tell(session, session.coordinator.find_allow_list(name))


def set_allow_list(session: Session, name: str, entries: Sequence[str], **_options: Any) -> int:
    return _tell(session, session.coordinator.save_allow_list(name, entries))


def reset_allow_list(session: Session, name: str, **_options: Any) -> int:
    return _tell(session, session.coordinator.save_allow_list(name, None))


def _tell(session: Session, found: AllowList) -> int:
    bound = ", ".join(found.bound) or "nothing"
    words = f"{found.name}: {_format_allowed(found)}. {found.setting} allows {bound}."
    session.terminal.result(found, escape_text(words))
    return exit_codes.DONE


def _format_allowed(found: AllowList) -> str:
    if found.entries is None:
        return "all that the setting allows"
    return ", ".join(found.allowed) or "nothing"
