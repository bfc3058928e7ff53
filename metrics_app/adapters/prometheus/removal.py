"""Removes series from the files of all slots, without involving the processes that recorded them.

The owner of a slot goes on adding to the value that it knows. So a value stays in place, and is copied to its
baseline, the second number of its entry, which is otherwise unused. A series whose values equal their
baselines is not exposed; later recordings of any process count from zero. A baseline is written with one
store of eight bytes, which nobody else writes, so that no recording and no other removal at the same moment
is lost.

For a gauge that shows the last of several values, the second number is the time at which it was set; it
becomes zero, which means never.

A baseline of zero is written as -0.0, because 0.0 means that there is none.
"""

import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from json import dumps
from pathlib import Path
from struct import pack

from metrics_app.adapters.prometheus.creation import PREFIX, SUFFIX
from metrics_app.adapters.prometheus.files import (
    DOUBLE,
    HEADER,
    UnreadableFileError,
    parsed,
    scan,
    used_bytes,
)
from metrics_app.adapters.prometheus.folder import (
    MAGIC,
    MAGIC_WITH_BASELINES,
    OWN_NAME,
    directory_locked,
)
from metrics_app.adapters.prometheus.slot_files import family_name, file_prefix
from metrics_app.catalogue import Definition

IsWanted = Callable[[frozenset[tuple[str, str]]], bool]
"""Whether a series with these labels is to be removed."""


def remove_series(directory: Path, definition: Definition, labels: Mapping[str, str] | None) -> None:
    """Remove one series of a metric from all files or, without labels, all of them.

    Raises:
        OSError: a file cannot be written: another user's, perhaps.
    """
    wanted = None if labels is None else frozenset(labels.items())
    prefix = file_prefix(definition)

    def is_wanted(found: frozenset[tuple[str, str]]) -> bool:
        return wanted is None or found == wanted

    _change_files(
        directory,
        lambda name: (
            name.startswith(f"{prefix}_slot-") or (prefix == "histogram" and name.endswith(".native"))
        ),
        family_name(definition),
        is_wanted,
    )
    # Later recordings begin now.
    created = f"{family_name(definition)}{SUFFIX}"
    _change_files(directory, lambda name: name.startswith(f"{PREFIX}_slot-"), created, is_wanted, time.time())


def remove_library_series(directory: Path, metric: str, labels: Mapping[str, str]) -> None:
    """Remove the series of a library's metric that have at least these labels from all files.

    Raises:
        OSError: a file cannot be written: another user's, perhaps.
    """
    wanted = frozenset(labels.items())
    _change_files(directory, lambda name: "_library-" in name, metric, wanted.issubset)


def _change_files(
    directory: Path,
    has_kind: Callable[[str], bool],
    metric: str,
    is_wanted: IsWanted,
    value: float | None = None,
) -> None:
    """Remove series from files, or, with a value, set them to it."""
    # So that nobody opens an old file meanwhile and compacts it.
    with directory_locked(directory):
        for name in os.listdir(directory):  # noqa: PTH208 - names alone
            if has_kind(name) and OWN_NAME.fullmatch(name):
                is_timed = "mostrecent_" in name
                with suppress(FileNotFoundError, UnreadableFileError):
                    _change_file(directory / name, metric, is_wanted, value, is_timed=is_timed)


def _change_file(path: Path, metric: str, is_wanted: IsWanted, new: float | None, *, is_timed: bool) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        data = os.pread(descriptor, status.st_size, 0) if stat.S_ISREG(status.st_mode) else b""
        if data[4:HEADER] not in {MAGIC, MAGIC_WITH_BASELINES}:
            return
        found = _find_values(data, metric, is_wanted)
        if new is not None:
            for value_at in found:
                os.pwrite(descriptor, pack("d", new), value_at)
            return
        if found and not is_timed:
            os.pwrite(descriptor, MAGIC_WITH_BASELINES, 4)
        for value_at in found:
            # Read again, because somebody may have added to it.
            value = os.pread(descriptor, DOUBLE, value_at)
            baseline = bytes(DOUBLE) if is_timed else _baseline(value)
            os.pwrite(descriptor, baseline, value_at + DOUBLE)
    finally:
        os.close(descriptor)


def _find_values(data: bytes, metric: str, is_wanted: IsWanted) -> list[int]:
    """At which bytes the values of these series stand."""
    start = f"{dumps([metric])[:-1]},".encode()
    found = []
    for key, place in zip(*scan(data, HEADER, used_bytes(data)), strict=True):
        if key.startswith(start):
            labels = frozenset([label for label in parsed(key).labels if label[0] != "le"])
            if is_wanted(labels):
                found.append(DOUBLE * place)
    return found


def _baseline(value: bytes) -> bytes:
    return value if any(value) else pack("d", -0.0)
