"""The verbs profiles and completion, which ask no coordinator."""

import sys
from typing import Any

from coordinator_client.command_line import completion, exit_codes
from coordinator_client.command_line.verbs import Session, add_verb
from coordinator_client.profiles import read_profiles


def add_to(verbs: Any) -> None:
    add_verb(verbs, list_profiles, "profiles", "List the profiles, without their tokens.")
    parser = add_verb(verbs, write_completion, "completion", "Write the completion script of a shell.")
    parser.add_argument("shell", choices=completion.SHELLS)


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
    sys.stdout.write(completion.write_script(shell))
    return exit_codes.DONE
