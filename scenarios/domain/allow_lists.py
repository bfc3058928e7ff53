"""Allow lists: what steps may do on the coordinator's own host, and where they may connect to.

The settings are the outer bound, which only the owner of the machine can set. People with the permission
narrow a list within it, without a restart. An entry of commands is an executable and the variables that steps
may set for it, as `kubectl:HTTPS_PROXY`; `/opt/chaos/*` is each executable directly in a folder.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from scenarios.domain.errors import ScenarioError

MAX_ENTRIES = 200
MAX_ENTRY_LENGTH = 300
_SHOWN = 80
_MAX_LISTED = 10
_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ListName(StrEnum):
    COMMANDS = "commands"  # executables that `command` steps run
    PIDFILE_DIRS = "pidfile-dirs"  # folders with the pid files of what `signal` steps reach
    NETWORKS = "networks"  # networks that steps connect to; without any, all


SETTINGS: Mapping[ListName, str] = {
    ListName.COMMANDS: "ALLOWED_COMMANDS",
    ListName.PIDFILE_DIRS: "ALLOWED_PIDFILE_DIRS",
    ListName.NETWORKS: "ALLOWED_NETWORKS",
}
ALL_NETWORKS = ("0.0.0.0/0", "::/0")
"""What an empty setting allows."""


class InvalidEntries(ScenarioError):  # noqa: N818 - a state
    """Entries that the list cannot have; `errors` has the index of each, and a sentence."""

    def __init__(self, errors: Sequence[tuple[int, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__(" ".join(f"{sentence}." for _index, sentence in errors))


def read_entries(name: ListName, entries: Sequence[str], bound: Sequence[str]) -> list[str]:
    """The entries as they are stored, each once, in the given order.

    Raises:
        InvalidEntries: some are malformed, or lie outside the bound; or there are too many.
    """
    if len(entries) > MAX_ENTRIES:
        raise InvalidEntries(
            [(MAX_ENTRIES, f"{len(entries)} entries are too many; at most {MAX_ENTRIES} fit")]
        )
    errors, found = [], []
    for index, text in enumerate(entries):
        try:
            found.append(_read_entry(name, text.strip(), bound))
        except ValueError as error:
            errors.append((index, str(error)))
    if errors:
        raise InvalidEntries(errors)
    return list(dict.fromkeys(found))


def _read_entry(name: ListName, text: str, bound: Sequence[str]) -> str:
    shown = repr(text[:_SHOWN])
    if len(text) > MAX_ENTRY_LENGTH:
        raise ValueError(f"{shown}… has {len(text)} characters; an entry has at most {MAX_ENTRY_LENGTH}")
    if not text.isprintable():
        raise ValueError(f"{shown} contains a control character; remove it")
    entry = _PARSERS[name](text)
    if not is_within(name, entry, bound):
        known = list_entries(bound)
        raise ValueError(
            f"{shown} lies outside what this machine allows: {SETTINGS[name]} names {known}; only its owner "
            "can extend that setting"
        )
    return entry


def _parse_command(text: str) -> str:
    command, *variables = text.split(":")
    is_path = command.startswith("/") and os.path.normpath(command) == command
    if not _COMMAND.fullmatch(command) and not is_path:
        raise ValueError(
            f"{text[:_SHOWN]!r} is not a command; write a name or an absolute path, without arguments, as "
            "'systemctl' or '/usr/sbin/tc'"
        )
    for variable in variables:
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(
                f"{variable[:_SHOWN]!r} is not the name of a variable; write it after a colon, as in "
                "'kubectl:HTTPS_PROXY'"
            )
    return ":".join([command, *sorted(set(variables))])


def _parse_folder(text: str) -> str:
    if not text.startswith("/") or os.path.normpath(text) != (text.rstrip("/") or "/"):
        raise ValueError(
            f"{text[:_SHOWN]!r} is not the absolute path of a folder; write it without '..', as '/run/shop'"
        )
    return text.rstrip("/") or "/"


def _parse_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        reason = f" ({error})" if "host bits" in str(error) else ""
        raise ValueError(
            f"{text[:_SHOWN]!r} is not a network{reason}; write it as '10.1.0.0/16' or 'fd00::/8'"
        ) from None


_PARSERS: Mapping[ListName, Callable[[str], str]] = {
    ListName.COMMANDS: _parse_command,
    ListName.PIDFILE_DIRS: _parse_folder,
    ListName.NETWORKS: _parse_network,
}


def is_within(name: ListName, entry: str, bound: Sequence[str]) -> bool:
    """Whether the entry allows no more than the bound does."""
    if name is ListName.COMMANDS:
        command, *variables = entry.split(":")
        allowed = find_variables(bound, command)
        return allowed is not None and allowed.issuperset(variables)
    if name is ListName.PIDFILE_DIRS:
        return any(PurePosixPath(entry).is_relative_to(folder) for folder in bound)
    return any(_lies_within(entry, network) for network in bound)


def _lies_within(entry: str, network: str) -> bool:
    inner, outer = ipaddress.ip_network(entry), ipaddress.ip_network(network)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type] # same version


def select_allowed(name: ListName, entries: Sequence[str] | None, bound: Sequence[str]) -> list[str]:
    """What is allowed now: the entries that the bound still covers; without entries, the bound itself."""
    if entries is None:
        return list(bound)
    return [entry for entry in entries if is_within(name, entry, bound)]


def find_variables(commands: Iterable[str], executable: str) -> frozenset[str] | None:
    """The variables that may be set for the executable; None if it is not allowed."""
    matching = [variables for command, *variables in _split(commands) if _names(command, executable)]
    return frozenset().union(*matching) if matching else None


def _split(commands: Iterable[str]) -> Iterable[list[str]]:
    return (entry.split(":") for entry in commands)


def _names(command: str, executable: str) -> bool:
    if command == executable:
        return True
    is_clean = executable.startswith("/") and os.path.normpath(executable) == executable
    return command.endswith("/*") and is_clean and os.path.dirname(executable) == command[:-2]  # noqa: PTH120 - a text, not a file


def is_in_networks(address: str, networks: Sequence[str]) -> bool:
    """Whether the IP address is in one of the networks."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in ipaddress.ip_network(network) for network in networks)


def list_entries(entries: Sequence[str]) -> str:
    """For a sentence."""
    more = f" and {len(entries) - _MAX_LISTED} more" if len(entries) > _MAX_LISTED else ""
    return (", ".join(repr(entry) for entry in entries[:_MAX_LISTED]) or "none") + more
