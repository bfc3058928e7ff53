"""Completion by the shell: scripts for bash, zsh and fish, and names that the coordinator knows.

argcomplete runs the program for each completion. It does not wait for a coordinator that responds late.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coordinator_client.errors import CoordinatorError
from coordinator_client.profiles import find_profile_file, read_profile, read_profiles

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "test-coordinator"
TIMEOUT_SECONDS = 1.0
MAX_NAMES = 200
ListNames = Callable[[str], Sequence[str]]
"""All names of a kind, such as "scenarios"."""
_list_local_names: ListNames | None = None


def use_local_names(list_names: ListNames) -> None:
    """Where no server is named, complete the names that this machine's coordinator has."""
    global _list_local_names  # noqa: PLW0603 - a process completes one line
    _list_local_names = list_names


def complete_scenarios(prefix: str, parsed_args: Any, **_named: Any) -> list[str]:
    return _ask(parsed_args, "scenarios", prefix)


def complete_schedules(prefix: str, parsed_args: Any, **_named: Any) -> list[str]:
    return _ask(parsed_args, "schedules", prefix)


def complete_suites(prefix: str, parsed_args: Any, **_named: Any) -> list[str]:
    return _ask(parsed_args, "suites", prefix)


def complete_services(prefix: str, parsed_args: Any, **_named: Any) -> list[str]:
    return _ask(parsed_args, "services", prefix)


def complete_environments(prefix: str, parsed_args: Any, **_named: Any) -> list[str]:
    return _ask(parsed_args, "environments", prefix)


def complete_hosts(prefix: str, parsed_args: Any, **_named: Any) -> list[str]:
    return _ask(parsed_args, "hosts", prefix)


def complete_profiles(prefix: str, **_named: Any) -> list[str]:
    try:
        tables = read_profiles()
    except CoordinatorError:
        return []
    return [name for name, table in tables.items() if isinstance(table, dict) and name.startswith(prefix)]


def _ask(options: Any, kind: str, prefix: str) -> list[str]:
    is_remote = getattr(options, "server", "") or getattr(options, "profile", "")
    if _list_local_names is not None and not is_remote:
        return [name for name in _list_local_names(kind) if name.startswith(prefix)]
    return _ask_coordinator(options, kind, prefix)


def _ask_coordinator(options: Any, kind: str, prefix: str) -> list[str]:
    from coordinator_client.synchronous.client import Client  # noqa: PLC0415 - slow to import

    try:
        profile = read_profile(
            getattr(options, "profile", ""),
            server=getattr(options, "server", ""),
            authority=getattr(options, "authority", ""),
        )
        with Client(
            profile.server, profile.token, authority=profile.authority, timeout=TIMEOUT_SECONDS, tries=1
        ) as client:
            found: Iterable[Any] = getattr(client, kind).list(limit=MAX_NAMES)
            return [item.name for item in found if item.name.startswith(prefix)]
    except CoordinatorError:
        return []  # a shell has no place for an error


def write_script(shell: str, program: str = PROGRAM) -> str:
    from argcomplete import shell_integration  # noqa: PLC0415 - needed by this verb only

    return str(shell_integration.shellcode([program], shell=shell))


def start(parser: Any) -> None:
    """Answer a shell that asks for completions, and exit; else return at once."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete  # noqa: PLC0415 - the shell has asked

    argcomplete.autocomplete(parser, always_complete_options="long")


def describe_file() -> str:
    return str(find_profile_file() or "(there is no home folder)")
