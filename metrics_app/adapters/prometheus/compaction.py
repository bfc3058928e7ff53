"""Finds the removed label sets of a file, and rewrites the file without them, because they would stay for
ever.

A file is rewritten when the next owner of its slot opens it, because nobody writes to it then.
"""

import os
from contextlib import suppress
from math import copysign
from pathlib import Path
from struct import Struct

from metrics_app.adapters.prometheus.files import (
    DOUBLE,
    HEADER,
    LENGTH,
    UnreadableFileError,
    parsed,
    scan,
    used_bytes,
)
from metrics_app.adapters.prometheus.folder import (
    MAGIC,
    MAGIC_WITH_BASELINES,
    directory_locked,
    open_own,
)

NUMBERS = Struct("dd")
LabelSet = tuple[str, frozenset[tuple[str, str]]]
"""The name of a metric and its labels, without the bounds of buckets."""


class Entries:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
        UnreadableFileError: one of FAULTS.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.has_baselines = data[4:HEADER] == MAGIC_WITH_BASELINES
        self.keys, places = scan(data, HEADER, used_bytes(data))
        self.numbers: list[tuple[float, float]] = [
            NUMBERS.unpack_from(data, DOUBLE * place) for place in places
        ]
        self.label_sets = list(map(_label_set, self.keys))

    def find_removed(self, *, is_timed: bool) -> set[LabelSet]:
        """The label sets that were removed and have not been recorded since."""
        if not (is_timed or self.has_baselines):
            return set()
        pairs = list(zip(self.label_sets, self.numbers, strict=True))
        if is_timed:
            return {label_set for label_set, (_, set_at) in pairs if not set_at}
        changed = {label_set for label_set, (value, baseline) in pairs if not _is_removed(value, baseline)}
        return set(self.label_sets) - changed


def compact(path: Path, temporary: Path) -> None:
    """Remove these label sets from a file that nobody has open for writing."""
    with suppress(OSError, UnreadableFileError):
        with path.open("rb") as file:
            if file.read(HEADER)[4:] != MAGIC_WITH_BASELINES:
                return
        # So that nobody removes anything at the same time.
        with directory_locked(path.parent):
            entries = Entries(path)
            removed = entries.find_removed(is_timed=False)
            if removed:
                _write(temporary, _kept(entries, removed))
                temporary.replace(path)


def _kept(entries: Entries, removed: set[LabelSet]) -> bytes:
    parts = []
    for key, (value, baseline), label_set in zip(
        entries.keys, entries.numbers, entries.label_sets, strict=True
    ):
        if label_set not in removed:
            padding = b" " * (DOUBLE - (len(key) + LENGTH.size) % DOUBLE)
            parts.append(LENGTH.pack(len(key)) + key + padding + NUMBERS.pack(value - baseline, 0.0))
    content = b"".join(parts)
    return LENGTH.pack(HEADER + len(content)) + MAGIC + content


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(open_own(path, os.O_WRONLY), "wb") as file:
        file.write(content)


def _is_removed(value: float, baseline: float) -> bool:
    return value == baseline and (baseline != 0 or copysign(1.0, baseline) < 0)


def _label_set(key: bytes) -> LabelSet:
    found = parsed(key)
    return found.metric, frozenset([label for label in found.labels if label[0] != "le"])
