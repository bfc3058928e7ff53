"""The verb revert: an earlier version of a scenario becomes the newest one.

It is not called restore, because this is a command of the server, which replaces the whole database.
"""

from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.coordinator import ChangedMeanwhile, CommandRefused
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, add_completed, add_verb, parse_number
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import InvalidDocumentError


def add_to(verbs: Any) -> None:
    parser = add_verb(
        verbs, revert_scenario, "revert", "Store an earlier version of a scenario again, as the newest one."
    )
    add_completed(
        parser, "name", completion.complete_scenarios, metavar="NAME", help_text="The scenario's name."
    )
    parser.add_argument(
        "--version",
        type=parse_number,
        required=True,
        metavar="N",
        help="The number of the version, as 'versions' lists it.",
    )


def revert_scenario(session: Session, name: str, version: int, **_options: Any) -> int:
    """Nothing that somebody stores in the meantime is replaced."""
    stored = session.coordinator.find_document(name)
    document = session.coordinator.find_version(name, version).document
    facts = {"name": name, "version": version}
    if document == stored.document:
        sentence = f"Version {version} is what is stored of {escape_text(name)} now; nothing was changed."
        session.terminal.result({"stored": False, **facts}, sentence)
        return exit_codes.DONE
    try:
        session.coordinator.replace_document(stored, document)
    except InvalidDocumentError as error:
        raise CommandRefused(
            f"Version {version} of {name!r} is no longer valid, so nothing was stored: {error}"
        ) from error
    except ChangedMeanwhile as error:
        listing = quote_command(f"versions {name}")
        raise CommandRefused(f"{error} Nothing was stored; {listing} lists the versions.") from error
    session.terminal.result(
        {"stored": True, **facts}, f"Scenario {escape_text(name)} is stored as it was in version {version}."
    )
    return exit_codes.DONE
