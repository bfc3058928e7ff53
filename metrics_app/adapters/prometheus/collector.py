"""Merges the files of all slots like prometheus_client's own collector, but remembers what it has read."""

import ctypes
import errno
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import cast

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from metrics_app.adapters.prometheus.files import FAULTS, FILE_NAME, ParsedKeys, UnreadableFileError
from metrics_app.adapters.prometheus.folder import is_readable
from metrics_app.adapters.prometheus.known_files import KnownFile, ReadBuffer
from metrics_app.adapters.prometheus.layout import Group, Origin, Values
from metrics_app.adapters.prometheus.merge import MergedMetric
from metrics_app.adapters.prometheus.snapshot import Family, Snapshot, without_collections
from metrics_app.catalogue import CATALOGUE, SKIPPED_FILES

Name = tuple[bool, str]
"""Whether a metric is a library's, and its name: the adapter's come first where both have one of a name."""

SKIPPED = Family(
    SKIPPED_FILES,
    CATALOGUE[SKIPPED_FILES].help,
    "gauge",
    [(SKIPPED_FILES, (("reason", fault),)) for fault in FAULTS],
)


MANY_SERIES = 100_000
MAX_OBJECTS = 100_000
"""So many numbers of files are kept as objects; the others as arrays, which take a quarter of the memory."""


@cache
def _find_trim() -> Callable[[int], object]:
    trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim or (lambda _pad: None)  # only glibc has it


def give_back_memory() -> None:
    """Make the C library return free memory.

    The numbers of all files, which are summed, take a sixth of the memory of the text that is made next. The
    library would keep it, because each file has few of them.
    """
    _find_trim()(0)


class SlotCollector(MultiProcessCollector):
    """The stock collector, with two differences: it reads a file's keys once, not at each scrape, and it
    skips and counts the files that the stock collector would fail on.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(None, str(directory))  # type: ignore[no-untyped-call]
        self._lock = Lock()
        self._files: dict[str, KnownFile] = {}
        self._keys = ParsedKeys()
        self._buffer = ReadBuffer()
        self._metrics: dict[Name, MergedMetric] = {}

    def collect(self) -> Iterable[Metric]:
        return [family.metric(values) for family, values in self.snapshots()]

    @without_collections()
    def snapshots(self) -> list[Snapshot]:
        with self._lock:
            skipped: Counter[str] = Counter()
            found = self._read(skipped)
            snapshots = [self._merged(name, *found[name]) for name in sorted(found, key=itemgetter(0))]
            self._forget_what_is_gone(found)
            del found
        if sum(len(values) for _, values in snapshots) >= MANY_SERIES:
            give_back_memory()
        return [*snapshots, Snapshot(SKIPPED, [float(skipped[fault]) for fault in FAULTS])]

    def close(self) -> None:
        """Forget everything; the next scrape reads it again."""
        with self._lock:
            self._close_files(list(self._files))
            self._metrics = {}
            self._keys = ParsedKeys()

    def after_fork_in_child(self) -> None:
        # Another thread of the parent may have held the lock while it read.
        self._lock = Lock()
        self.close()

    def _read(self, skipped: Counter[str]) -> dict[Name, tuple[list[Group], list[Values]]]:
        """The series of each metric in the files that have it, and the values of these files."""
        found: dict[Name, tuple[list[Group], list[Values]]] = {}
        # In the stock collector's order, because sums of floats and equal timestamps depend on it.
        listed = os.listdir(self._path)  # noqa: PTH208 - names alone
        names = [name for name in listed if name.endswith(".db") and name[0] != "."]
        objects = 0
        self._close_files(self._files.keys() - set(names))
        for name in names:
            try:
                numbers = self._values(name)
            except FileNotFoundError:
                continue  # removed since it was listed
            except (OSError, UnreadableFileError) as error:
                if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
                    raise  # the file is valid; without it, counters would decrease
                skipped[str(error) if isinstance(error, UnreadableFileError) else "foreign"] += 1
                self._close_files([name])
                continue
            objects += len(numbers)
            values = numbers if objects <= MAX_OBJECTS else array("d", numbers)
            for metric, group in self._files[name].layout.groups.items():
                name_and_owner = group.origin.is_library, metric
                groups, of_files = found.setdefault(name_and_owner, ([], []))
                groups.append(group)
                of_files.append(values)
        return found

    def _values(self, name: str) -> Values:
        path = f"{self._path}/{name}"
        if name in self._files and not self._files[name].is_still(path):
            self._close_files([name])
        if name not in self._files:
            match = FILE_NAME.fullmatch(name)
            if match is None:
                raise UnreadableFileError("foreign")
            self._files[name] = KnownFile(path, Origin.of(match))
        return self._files[name].read(self._keys, self._buffer)

    def _merged(self, name: Name, groups: list[Group], of_files: list[Values]) -> Snapshot:
        metric = self._metrics.get(name)
        # A tuple of the same objects, so that a comparison looks only at identities.
        if metric is None or metric.groups != tuple(groups):
            metric = self._metrics[name] = MergedMetric(name[1], tuple(groups))
        values = metric.values(of_files)
        return Snapshot(metric.family, values)

    def _forget_what_is_gone(self, found: Iterable[Name]) -> None:
        for name in self._metrics.keys() - set(found):
            del self._metrics[name]
        # They are shared by files that have the same ones; if few files do, they take most of the memory.
        if 2 * len(self._keys) > sum(len(file.layout) for file in self._files.values()):
            self._keys = ParsedKeys()

    def _close_files(self, names: Iterable[str]) -> None:
        for name in names:
            known = self._files.pop(name, None)
            if known is not None:
                known.close()


class StockCollector(MultiProcessCollector):
    """Knows nothing about the files, for releases of prometheus_client with other files."""

    def __init__(self, directory: Path) -> None:
        super().__init__(None, str(directory))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in sorted(Path(self._path).glob("*.db")) if is_readable(path)]
        return cast("Iterable[Metric]", self.merge(files, accumulate=True))  # type: ignore[no-untyped-call]

    def snapshots(self) -> list[Snapshot]:
        return [
            Snapshot(
                Family(
                    metric.name,
                    metric.documentation,
                    metric.type,
                    [(sample.name, tuple(sample.labels.items())) for sample in metric.samples],
                ),
                [sample.value for sample in metric.samples],
            )
            for metric in self.collect()
        ]

    def close(self) -> None:
        """This collector keeps nothing open."""

    def after_fork_in_child(self) -> None:
        """This collector remembers nothing."""
