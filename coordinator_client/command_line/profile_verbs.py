"""The verbs profiles, completion and version, which are about this program."""

import sys
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.terminal import escape_text
from coordinator_client.command_line.verbs import Session, add_verb
from coordinator_client.command_line.wording import find_program
from coordinator_client.errors import CoordinatorError, SettingsError
from coordinator_client.profiles import read_profiles
from coordinator_client.version import __version__


def add_to(verbs: Any) -> None:
    add_verb(verbs, list_profiles, "profiles", "List the profiles, without their tokens.")
    parser = add_verb(
        verbs, write_completion, "completion", "Write the completion script of a shell, for its startup file."
    )
    parser.add_argument("shell", choices=completion.SHELLS)
    add_verb(verbs, show_version, "version", "Show the versions of this client and of the coordinator.")


def list_profiles(session: Session, **_options: Any) -> int:
    tables = read_profiles()
    default = tables.get("default", "")
    found = [
        {
            "name": name,
            "server": str(table.get("server", "")),
            "ca": str(table.get("ca", "")),
            "token": _describe_token(table),
            "default": name == default,
        }
        for name, table in tables.items()
        if isinstance(table, dict)
    ]
    columns = {
        "Profile": [item["name"] for item in found],
        "Server": [item["server"] for item in found],
        "Token": [item["token"] for item in found],
        "Default": ["yes" if item["default"] else "-" for item in found],
    }
    session.terminal.rows(found, columns, empty=f"There are no profiles in {completion.describe_file()}.")
    return exit_codes.DONE


def _describe_token(table: dict[str, Any]) -> str:
    if table.get("token"):
        return "in the profile"
    return f"in {table['token_file']}" if table.get("token_file") else "of the environment"


def write_completion(session: Session, shell: str, **_options: Any) -> int:
    del session
    sys.stdout.write(completion.write_script(shell, find_program()))
    return exit_codes.DONE


def show_version(session: Session, **_options: Any) -> int:
    """As `kubectl version`: the client's is shown where no coordinator is named or responds, too."""
    version, place, code = "", "", exit_codes.DONE
    refused = ""
    try:
        place = session.coordinator.place
        version = session.coordinator.read_version()
    except SettingsError as error:
        session.terminal.errors.print(escape_text(error))
    except CoordinatorError as error:
        refused, code = str(error), exit_codes.find_refusal_code(error)
    lines = [
        f"Client: {__version__}",
        *([f"Coordinator: {escape_text(f'{version}, {place}')}"] if version else []),
    ]
    session.terminal.result(
        {"client": __version__, "coordinator": version or None, "server": place or None}, "\n".join(lines)
    )
    if refused:
        session.terminal.complain(refused)
    return code
