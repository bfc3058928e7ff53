"""The values in this process's slot: in prometheus_client's own files, written without its metric classes.

This module alone touches what prometheus_client keeps to itself: the attributes `_m` and `_used` of
`MmapedDict`, the layout of its files and the format of its keys. Its test holds that contract
against the pinned release.
"""

import os
import time
import weakref
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from threading import RLock

from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from metrics_app.adapters.prometheus import slots
from metrics_app.adapters.prometheus.files import DOUBLE, UnreadableFileError, stored_keys
from metrics_app.catalogue import Definition, Kind

INITIAL_SIZE = 1 << 16


class Cell:
    """One number in the file; who changes it holds the lock of the files.

    Assigning to the view stores eight aligned bytes at once, so a reader never sees half a value.
    """

    __slots__ = ("index", "value", "view")

    def __init__(self, view: "memoryview[float]", index: int) -> None:
        self.view = view
        self.index = index
        self.value: float = view[index]

    def add(self, amount: float) -> None:
        self.value += amount
        self.view[self.index] = self.value

    def set(self, value: float) -> None:
        """Set the value and when that was, by which the last of several processes is told."""
        self.value = value
        self.view[self.index] = value
        self.view[self.index + 1] = time.time()


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
    """One file of the slot, and which label sets of each metric it holds."""

    def __init__(self, path: Path) -> None:
        try:
            keys = stored_keys(path)
        except UnreadableFileError:
            # Left by a process that died at the worst moment, or by something else: nothing to keep.
            path.unlink(missing_ok=True)
            keys = []
        self.label_sets: dict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)
        for key in keys:
            self.label_sets[key.metric].add(tuple([label for label in key.labels if label[0] != "le"]))
        _reserve(path, INITIAL_SIZE)
        self._values = MmapedDict(str(path))
        # Closes the descriptor at the latest with the process; the map lives as long as a cell of it does.
        self.close = weakref.finalize(self, self._values._f.close)  # noqa: SLF001
        self._path = path
        self._view = self._map()
        self._cells: dict[str, Cell] = {}

    def cell(self, key: str) -> Cell:
        """The one cell of this key: two would overwrite each other's value."""
        if key not in self._cells:
            # An entry takes at most the key, its length, eight bytes of padding and two doubles.
            needed = self._values._used + len(key.encode()) + 4 * DOUBLE  # noqa: SLF001
            size = self._path.stat().st_size
            while needed > size:
                size *= 2
            _reserve(self._path, size)
            self._values.read_value(key)
            if self._values._m is not self._view.obj:  # noqa: SLF001 - it grew, into a new map of the same file
                self._view = self._map()
            self._cells[key] = Cell(self._view, self._values._positions[key] // DOUBLE)  # noqa: SLF001
        return self._cells[key]

    def _map(self) -> "memoryview[float]":
        return memoryview(self._values._m).cast("B").cast("d")  # noqa: SLF001


class SlotFiles:
    """The files of the slot this process holds, claimed when the first value is recorded."""

    def __init__(self, directory: Path, on_claim: Callable[[slots.Slot], None]) -> None:
        self.directory = directory
        # One lock for all values, re-entrant, for a finaliser may record in the midst of a recording.
        self.lock = RLock()
        self._slot: slots.Slot | None = None
        self._on_claim = on_claim
        self._files: dict[str, ValueFile] = {}

    def claim(self) -> slots.Slot:
        """The slot of this process.

        Raises:
            OSError: the directory cannot be written.
        """
        with self.lock:
            if self._slot is None:
                self._slot = slots.claim(self.directory)
                self._on_claim(self._slot)
            return self._slot

    def forget(self) -> None:
        """Start anew in a forked child: the slot, its files and the state of the lock are the parent's."""
        self.lock = RLock()
        self._slot = None
        self._close_files()

    def close(self) -> None:
        with self.lock:
            if self._slot is not None:
                self._slot.release()
            self._slot = None
            self._close_files()

    def series(self, definition: Definition, label_values: tuple[str, ...]) -> CellSeries:
        """The cells of one series, with what an earlier owner of the slot left in them."""
        with self.lock:
            file = self._file(definition)
            name = family_name(definition)
            labels, help_text = list(definition.label_names), definition.help

            def cell(sample: str, **more: str) -> Cell:
                names, values = [*labels, *more], [*label_values, *more.values()]
                return file.cell(mmap_key(name, sample, names, values, help_text))

            if definition.kind is Kind.COUNTER:
                return cell(f"{name}_total")
            if definition.kind is Kind.GAUGE:
                return cell(name)
            bounds = (*definition.buckets, float("inf"))
            buckets = [cell(f"{name}_bucket", le=floatToGoString(bound)) for bound in bounds]
            return HistogramCells(definition.buckets, buckets, cell(f"{name}_sum"))

    def stored_label_sets(self, definition: Definition) -> set[tuple[str, ...]]:
        """The label values that the slot holds for this metric, recorded by an earlier owner."""
        with self.lock:
            stored = self._file(definition).label_sets[family_name(definition)]
        found = set()
        for label_set in stored:
            labels = dict(label_set)
            if labels.keys() == set(definition.label_names):
                found.add(tuple(labels[label] for label in definition.label_names))
        return found

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _file(self, definition: Definition) -> ValueFile:
        prefix = f"gauge_{definition.merge}" if definition.kind is Kind.GAUGE else str(definition.kind)
        slot = self.claim()
        if prefix not in self._files:
            self._files[prefix] = ValueFile(self.directory / f"{prefix}_{slot.number}.db")
        return self._files[prefix]


def family_name(definition: Definition) -> str:
    """The name in the files: a counter's goes without `_total`, which is its sample's."""
    return definition.name.removesuffix("_total") if definition.kind is Kind.COUNTER else definition.name


def _reserve(path: Path, size: int) -> None:
    """Have the disk space now: to write into a map without it kills the process (SIGBUS)."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(descriptor).st_size < size:
            # macOS does not have it.
            getattr(os, "posix_fallocate", lambda fd, _start, end: os.ftruncate(fd, end))(descriptor, 0, size)
    finally:
        os.close(descriptor)
