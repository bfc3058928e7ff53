"""Native histograms: buckets whose bounds grow by a fixed factor, made with their first value.

Each slot has a file of such buckets beside its others, `slot-N.native`, in the form of its files of values,
but with a name that prometheus_client's collector does not read. A bucket is a cell whose label `le` is its
index.
Source: https://prometheus.io/docs/specs/native_histograms/
"""

import math
import os
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from metrics_app.adapters.prometheus.files import ParsedKeys, UnreadableFileError
from metrics_app.adapters.prometheus.folder import NATIVE_FILE, is_own
from metrics_app.adapters.prometheus.known_files import KnownFile, ReadBuffer
from metrics_app.adapters.prometheus.layout import Origin
from metrics_app.adapters.prometheus.snapshot import LabelSet
from metrics_app.adapters.prometheus.values import Cell, HistogramCells

SCHEMA = 3
"""Bounds grow by 2 ** 2 ** -SCHEMA, 9.05 percent."""
PER_DOUBLING = 2**SCHEMA
ZERO_THRESHOLD = 2.0**-30
"""What is not above counts as zero."""
MAX_INDEX = 40 * PER_DOUBLING
"""The bucket that takes all above: so a series has at most so many, and those from ZERO_THRESHOLD to one."""
ZERO = "zero"
FRACTIONS = [2.0 ** (step / PER_DOUBLING - 1) for step in range(PER_DOUBLING)]


def find_bucket(value: float) -> str:
    """The index of this value's bucket, as stored in the files."""
    if value <= ZERO_THRESHOLD:
        return ZERO
    fraction, exponent = math.frexp(value)
    # As the Go library finds it: exact at the bounds, which a logarithm is not.
    return str(min(MAX_INDEX, bisect_left(FRACTIONS, fraction) + (exponent - 1) * PER_DOUBLING))


class NativeHistogramCells(HistogramCells):
    """The classic buckets, and the native ones.

    `make` returns the cell of an index; it raises OSError if that is not possible now.
    """

    __slots__ = ("_make", "_native", "_waiting")

    def __init__(self, classic: HistogramCells, make: Callable[[str], Cell]) -> None:
        super().__init__(classic.bounds, classic.buckets, classic.sum)
        self._make = make
        self._native: dict[str, Cell] = {}
        self._waiting: dict[str, float] = {}

    def add(self, value: float) -> None:
        super().add(value)
        index = find_bucket(value)
        cell = self._native.get(index)
        if cell is not None:
            cell.add(1.0)
            return
        self._waiting[index] = self._waiting.get(index, 0.0) + 1.0
        # A full disk, or a finaliser that has interrupted a change: counted with the next observation.
        with suppress(OSError):
            self._catch_up()

    def _catch_up(self) -> None:
        for index in list(self._waiting):
            cell = self._native[index] = self._native.get(index) or self._make(index)
            cell.add(self._waiting.pop(index))


@dataclass
class NativeHistogram:
    zero_count: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    """How many fell into each bucket, by its index."""

    @property
    def count(self) -> int:
        return self.zero_count + sum(self.buckets.values())


NativeHistograms = Mapping[tuple[str, LabelSet], NativeHistogram]
"""By the name of the metric and its labels, sorted."""


class NativeCollector:
    """Sums the native buckets of all slots."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()
        self._files: dict[str, KnownFile] = {}
        self._keys = ParsedKeys()
        self._buffer = ReadBuffer()

    def collect(self) -> NativeHistograms:
        with self._lock:
            return self._collected()

    def close(self) -> None:
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files, self._keys = {}, ParsedKeys()

    def after_fork_in_child(self) -> None:
        self._lock = Lock()  # another thread of the parent may have held the lock
        self.close()

    def _collected(self) -> NativeHistograms:
        found: dict[tuple[str, LabelSet], NativeHistogram] = {}
        names = {name for name in os.listdir(self._directory) if NATIVE_FILE.fullmatch(name)}  # noqa: PTH208
        for gone in self._files.keys() - names:
            self._files.pop(gone).close()
        for name in sorted(names):
            with suppress(OSError, UnreadableFileError):  # removed since it was listed, or not yet written
                self._add_file(name, found)
        return found

    def _add_file(self, name: str, found: dict[tuple[str, LabelSet], NativeHistogram]) -> None:
        path = self._directory / name
        if name in self._files and not self._files[name].is_still(str(path)):
            self._files.pop(name).close()
        if name not in self._files:
            if not is_own(path):
                return
            self._files[name] = KnownFile(str(path), Origin("counter", "", name, is_library=False))
        file = self._files[name]
        values = file.read(self._keys, self._buffer)
        for metric, group in file.layout.groups.items():
            for key, index in zip(group.keys, group.indices, strict=True):
                labels = dict(key.labels)
                bucket = labels.pop("le")
                histogram = found.setdefault((metric, tuple(labels.items())), NativeHistogram())
                if bucket == ZERO:
                    histogram.zero_count += int(values[index])
                else:
                    counts = histogram.buckets
                    counts[int(bucket)] = counts.get(int(bucket), 0) + int(values[index])
