"""Numbers in prometheus_client's files, by the public methods of its `MmapedDict`.

These work with any layout of the file; `mapped_cells` does the same faster for the pinned release.
"""

import errno
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Protocol

from prometheus_client.mmap_dict import MmapedDict

from metrics_app.adapters.prometheus.files import Key, parsed
from metrics_app.adapters.prometheus.folder import INITIAL_SIZE, OWN_NAME, is_own, open_own


class Cell(Protocol):
    """One number in a file; callers that change it hold the lock of the files."""

    value: float

    def add(self, amount: float) -> None: ...

    def set(self, value: float) -> None:
        """Set the value and, if the last of several processes decides, the time.

        The time is from a clock that all processes of the host share and nobody can set.
        """
        ...

    def set_at(self, value: float, timestamp: float) -> None:
        """Set the value, and the time by the caller's clock."""
        ...

    def baseline(self) -> float: ...


class PublicCell:
    """The same by the public methods of prometheus_client's file, for releases with another layout."""

    __slots__ = ("_is_timed", "_key", "_values", "value")

    def __init__(self, values: MmapedDict, key: str, *, is_timed: bool) -> None:
        self._values = values
        self._key = key
        self._is_timed = is_timed
        self.value: float = values.read_value(key)[0]

    def add(self, amount: float) -> None:
        self.value += amount
        self._values.write_value(self._key, self.value, 0.0)

    def set(self, value: float) -> None:
        self.set_at(value, monotonic() if self._is_timed else 0.0)

    def set_at(self, value: float, timestamp: float) -> None:
        self.value = value
        self._values.write_value(self._key, value, timestamp)

    def baseline(self) -> float:
        return 0.0


class UnrecordedCell:
    """Ignores recordings that cannot be written."""

    __slots__ = ("value",)

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def add(self, amount: float) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value

    def set_at(self, value: float, _timestamp: float) -> None:
        self.value = value

    def baseline(self) -> float:
        return 0.0


class HistogramCells:
    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...], buckets: list[Cell], total: Cell) -> None:
        self.bounds = bounds
        self.buckets = buckets
        self.sum = total

    def add(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)].add(1.0)
        self.sum.add(value)


CellSeries = Cell | HistogramCells


class ValueFile:
    """One file of the slot, and which label sets of each metric an earlier owner left in it.

    Raises:
        OSError: it cannot be made or read, or another file has its name.
    """

    def __init__(self, path: Path, *, is_timed: bool = False) -> None:
        self._path = path
        self._is_timed = is_timed
        # Also checked when the slot was claimed; this file may be newer.
        if OWN_NAME.fullmatch(path.name) and os.path.lexists(path) and not is_own(path):
            raise FileExistsError(errno.EEXIST, "this is not a file of the metrics adapter", str(path))
        self.label_sets: dict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)
        try:
            keys = list(self._stored_keys())
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - whatever the reader raises
            # Left by a process that died at a bad moment, or by something else; there is nothing to keep.
            path.unlink(missing_ok=True)
            keys = []
        for key in keys:
            self.label_sets[key.metric].add(tuple([label for label in key.labels if label[0] != "le"]))
        reserve(path, INITIAL_SIZE)
        self._values = MmapedDict(str(path))
        self._cells: dict[str, Cell] = {}
        status = path.stat()
        self._identity = status.st_dev, status.st_ino

    def cell(self, key: str) -> Cell:
        """The only cell of this key, because two would overwrite each other's value."""
        if key not in self._cells:
            self._cells[key] = self._made(key)
        return self._cells[key]

    def is_lost(self) -> bool:
        """Whether somebody removed or replaced the file, so that nobody reads what is written to it."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - every second
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def close(self) -> None:
        self._values.close()

    def _stored_keys(self) -> Iterable[Key]:
        if self._path.exists():
            for key, *_ in MmapedDict.read_all_values_from_file(str(self._path)):
                yield parsed(key.encode())

    def _made(self, key: str) -> Cell:
        return PublicCell(self._values, key, is_timed=self._is_timed)


def reserve(path: Path, size: int) -> None:
    """Allocate the disk space now, because writing to a map without it kills the process (SIGBUS)."""
    descriptor = open_own(path, os.O_RDWR)
    try:
        if os.fstat(descriptor).st_size < size:
            # macOS does not have it.
            getattr(os, "posix_fallocate", lambda fd, _start, end: os.ftruncate(fd, end))(descriptor, 0, size)
    finally:
        os.close(descriptor)
