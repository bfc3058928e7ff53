"""Writes the file of profiles. What other people have written in it, comments included, stays."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from coordinator_client.errors import SettingsError
from coordinator_client.profiles import find_profile_file, read_profiles

_HEADER = re.compile(r"\s*\[(?!\[)\s*(?P<name>.+?)\s*\]\s*(#.*)?")
_DEFAULT = re.compile(r"""\s*("default"|'default'|default)\s*=""")
ESCAPES = {'"': '\\"', "\\": "\\\\"}


def store_profile(name: str, table: Mapping[str, str], *, as_default: bool) -> Path:
    """Add or replace the profile; returns the file, which only its owner may read.

    Raises:
        SettingsError: the file cannot be read, changed or written.
    """
    tables = read_profiles()
    wanted: dict[str, Any] = {**tables, name: dict(table)}
    if as_default:
        wanted["default"] = name
    lines = [line for line in _read_lines() if not (as_default and _DEFAULT.match(line))]
    lines = [*_drop_table(lines, name), f"[{_quote(name)}]"]
    lines += [f"{key} = {_quote(value)}" for key, value in table.items()]
    if as_default:
        lines.insert(0, f"default = {_quote(name)}")
    return _write(lines, wanted)


def remove_profile(name: str) -> Path:
    """Remove the profile with its token. Raises SettingsError as `store_profile`, or if it does not exist."""
    wanted = read_profiles()
    if not isinstance(wanted.pop(name, None), dict):
        raise SettingsError(f"There is no profile {name!r} in {find_profile_file()}.")
    lines = _drop_table(_read_lines(), name)
    if wanted.get("default") == name:
        del wanted["default"]
        lines = [line for line in lines if not _DEFAULT.match(line)]
    return _write(lines, wanted)


def _read_lines() -> list[str]:
    file = find_profile_file()
    return file.read_text(encoding="utf-8").splitlines() if file is not None and file.exists() else []


def _drop_table(lines: list[str], name: str) -> list[str]:
    return list(_list_other_lines(lines, name))


def _list_other_lines(lines: list[str], name: str) -> Iterator[str]:
    is_dropped = False
    for line in lines:
        if (header := _HEADER.fullmatch(line)) is not None:
            is_dropped = header["name"].strip("\"'") == name
        if not is_dropped:
            yield line


def _quote(text: str) -> str:
    return '"' + "".join(ESCAPES.get(character, character) for character in text) + '"'


def _write(lines: list[str], wanted: Mapping[str, Any]) -> Path:
    file = find_profile_file()
    if file is None:
        raise SettingsError("There is no home folder for the file of profiles; set HOME or XDG_CONFIG_HOME.")
    text = "".join(f"{line}\n" for line in lines)
    try:
        is_right = tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:  # written in another way than line by line
        raise SettingsError(f"{str(file)!r} cannot be changed by this program; change it with an editor.")
    try:
        _replace_privately(file, text.encode())
    except OSError as error:
        raise SettingsError(f"Cannot write {str(file)!r}: {error.strerror}.") from error
    return file


def _replace_privately(file: Path, content: bytes) -> None:
    """Readers see the old or the new file, and nobody but the owner may read it at any moment."""
    file = file.resolve()  # the file may be a link into a folder of settings under version control
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    finally:
        with suppress(OSError):
            draft.unlink()
