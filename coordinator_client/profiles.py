"""Where the coordinator is and which token is used: options, the environment, and profiles.

A profile is a table of `~/.config/test-coordinator/profiles.toml`, or of that file below `XDG_CONFIG_HOME`.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator_client.addresses import TOKEN_VARIABLE
from coordinator_client.errors import SettingsError

SERVER_VARIABLE = "TEST_COORDINATOR_SERVER"
PROFILE_VARIABLE = "TEST_COORDINATOR_PROFILE"
TIMEOUT_VARIABLE = "TEST_COORDINATOR_REQUEST_TIMEOUT"
TOKEN_FILE_VARIABLE = "TEST_COORDINATOR_TOKEN_FILE"  # noqa: S105 - the name of a variable
KEYS = ("server", "token", "token_file", "ca")
OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class Profile:
    """`source` and `token_source` say where the server and the token come from, for errors."""

    server: str
    token: str = ""
    authority: str = ""
    source: str = ""
    token_source: str = ""

    def __repr__(self) -> str:  # without the token
        return f"Profile({self.server!r}, source={self.source!r})"


def find_profile_file() -> Path | None:
    """None where there is no home folder."""
    if (folder := os.environ.get("XDG_CONFIG_HOME", "")) and Path(folder).is_absolute():
        return Path(folder) / "test-coordinator" / "profiles.toml"
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises without a home
    is_missing = home in ("", "~") or os.environ.get("HOME") == ""
    return None if is_missing else Path(home) / ".config" / "test-coordinator" / "profiles.toml"


def read_profile(name: str = "", *, server: str = "", authority: str = "") -> Profile:
    """The server is the first of: `server`, the profile `name`, that of TEST_COORDINATOR_PROFILE,
    TEST_COORDINATOR_SERVER, the profile that the file names as `default`.

    The token of a profile goes only to its server, and is used there without naming the profile, too. That of
    TEST_COORDINATOR_TOKEN or of the file TEST_COORDINATOR_TOKEN_FILE is used instead, except for a profile
    that is named and has a token.

    Raises:
        SettingsError: there is no server, no such profile, or its file cannot be used.
    """
    if server and name:
        raise SettingsError("Give either '--server' or '--profile', because a profile names a server.")
    wanted = name or ("" if server else os.environ.get(PROFILE_VARIABLE, ""))
    address = server or ("" if wanted else os.environ.get(SERVER_VARIABLE, ""))
    if address:
        source = "--server" if server else SERVER_VARIABLE
        name, table = _find_server_table(address)
        token, token_source = _find_token(name, table)
        return Profile(address, token, _find_authority(authority, table), source, token_source)
    tables = read_profiles()
    default = str(tables.get("default", ""))
    if not (wanted or default):
        raise SettingsError(
            f"No coordinator is named; set {SERVER_VARIABLE}, store a profile with "
            "'test-coordinator login URL', or give the command '--server URL'."
        )
    return _build_profile(tables, wanted or default, authority, is_named=bool(wanted))


def find_profile(name: str) -> Profile:
    """The profile without its token. Raises SettingsError if it does not exist."""
    table = _find_table(read_profiles(), name)
    return Profile(str(table.get("server", "")), authority=_find_authority("", table))


def _build_profile(tables: Mapping[str, Any], name: str, authority: str, *, is_named: bool) -> Profile:
    table = _find_table(tables, name)
    address = str(table.get("server", ""))
    if not address:
        raise SettingsError(f"The profile {name!r} names no 'server'.")
    token, token_source = _find_token(name, table, is_named=is_named)
    return Profile(address, token, _find_authority(authority, table), f"profile {name}", token_source)


def _find_server_table(address: str) -> tuple[str, Mapping[str, Any]]:
    """The default profile if it has this server, or the only one that has it; else an empty table."""
    try:
        tables = read_profiles()
    except SettingsError:  # which is not needed, as the server is given
        return "", {}
    found: dict[str, Mapping[str, Any]] = {
        name: table
        for name, table in tables.items()
        if isinstance(table, dict) and str(table.get("server", "")).rstrip("/") == address.rstrip("/")
    }
    if (default := str(tables.get("default", ""))) in found:
        return default, found[default]
    return next(iter(found.items())) if len(found) == 1 else ("", {})


def _find_table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    known = [key for key, value in tables.items() if isinstance(value, dict)]
    if name not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - slow, and for mistakes only

        close = get_close_matches(name, known, n=1)
        listed = (
            f"choose one of {', '.join(known)}." if known else "store it with 'test-coordinator login URL'."
        )
        hint = f"did you mean {close[0]!r}?" if close else listed
        raise SettingsError(f"There is no profile {name!r} in {find_profile_file()}; {hint}")
    table: Mapping[str, Any] = tables[name]
    if unknown := [key for key in table if key not in KEYS]:
        raise SettingsError(
            f"The profile {name!r} has an unknown key {unknown[0]!r}; choose one of {', '.join(KEYS)}."
        )
    return table


def read_profiles() -> dict[str, Any]:
    """The file with all profiles, which may not exist: then it is empty.

    Raises:
        SettingsError: it cannot be read, is not TOML, or others may read a token in it.
    """
    file = find_profile_file()
    if file is None or not file.exists():
        return {}
    import tomllib  # noqa: PLC0415 - slow, and only where there are profiles

    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            tables = tomllib.load(opened)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(f"Cannot read {str(file)!r}: {error.strerror}.") from error
    except ValueError as error:  # TOMLDecodeError, or not UTF-8
        raise SettingsError(f"{str(file)!r} is not valid TOML: {error}.") from error
    has_token = any("token" in table for table in tables.values() if isinstance(table, dict))
    if has_token and mode & OTHERS_MAY_READ:
        raise SettingsError(
            f"{str(file)!r} has a token, and other users may read it; forbid it with 'chmod 600 {file}'."
        )
    return tables


def _find_token(name: str, table: Mapping[str, Any], *, is_named: bool = False) -> tuple[str, str]:
    """The token of the profile or of the environment, and in words where it comes from."""
    variables = {key: os.environ.get(key, "") for key in (TOKEN_VARIABLE, TOKEN_FILE_VARIABLE)}
    of_profile = (str(table.get("token", "")), str(table.get("token_file", "")), f"the profile {name!r}")
    of_environment = (variables[TOKEN_VARIABLE], variables[TOKEN_FILE_VARIABLE], "")
    places = (of_profile, of_environment) if is_named else (of_environment, of_profile)
    for token, file, profile in places:
        if token:
            return token, profile or TOKEN_VARIABLE
        if file:
            return _read_token(file), f"the file {file!r} of {profile or TOKEN_FILE_VARIABLE}"
    return "", ""


def _read_token(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(os.path.expanduser(file)).read_text(encoding="ascii").strip()  # noqa: PTH111 - as above
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not plain text"
        raise SettingsError(f"Cannot read the token file {file!r}: {reason}.") from error


def _find_authority(given: str, table: Mapping[str, Any]) -> str:
    file = given or str(table.get("ca", ""))
    return os.path.expanduser(file) if file else ""  # noqa: PTH111 - as above
