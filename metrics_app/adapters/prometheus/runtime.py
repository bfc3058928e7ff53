"""process_*, python_gc_* and python_info of every live worker, which no collector has in multiprocess mode.

The series of a worker are named by its slot. Counters continue from the values of the slot's earlier owners:
summed over live workers only, CPU time would decrease whenever a worker dies, which looks like a reset. After
kill -9, the value that the last scrape has stored is used.
"""

import errno
import gc
import logging
import mmap
import os
import platform
import resource
import struct
import time
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from metrics_app.adapters.prometheus import slots
from metrics_app.adapters.prometheus.descriptors import KeptDescriptor
from metrics_app.adapters.prometheus.folder import (
    RECORD_MAGIC,
    SECONDS_A_SCRAPE_WAITS,
    directory_locked,
    mark_own,
)
from metrics_app.adapters.prometheus.snapshot import Family, LabelSet, Snapshot
from metrics_app.adapters.prometheus.values import reserve

logger = logging.getLogger(__name__)

GENERATIONS = 3
CPU_BEFORE, CPU_OWN, CPU_EXPOSED, COLLECTIONS = 0, 1, 2, 3
COLLECTED, UNCOLLECTABLE = COLLECTIONS + GENERATIONS, COLLECTIONS + 2 * GENERATIONS
NUMBERS = struct.Struct(f"{COLLECTIONS + 3 * GENERATIONS}d")
EXPOSED = struct.Struct("d")
DOUBLE = EXPOSED.size
BEGIN = len(RECORD_MAGIC)

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = resource.getpagesize()
MAX_STAT_BYTES = 4096
MAX_STAT_FIELD = 21
"""The last one of the fields behind the name of the process that is needed."""


def _file(directory: Path, number: int) -> Path:
    return directory / f"slot-{number}.runtime"


class RuntimeRecord:
    """The counters of one slot's owner, kept in the slot's runtime file.

    A garbage collection may start anywhere, under any lock, so its callback takes none, and writes numbers
    that nobody else writes.

    Raises:
        OSError: there is no room for the file.
    """

    def __init__(self, directory: Path, number: int) -> None:
        path = _file(directory, number)
        reserve(path, BEGIN + NUMBERS.size)
        mark_own(path, RECORD_MAGIC, 0)
        with path.open("r+b") as file:
            view = memoryview(mmap.mmap(file.fileno(), BEGIN + NUMBERS.size))
            self._numbers = view.cast("B").cast("d")[BEGIN // DOUBLE :]
        # A scrape may have shown more than the last owner has stored, or less.
        self._cpu_before = max(self._numbers[CPU_OWN], self._numbers[CPU_EXPOSED])
        self._numbers[CPU_BEFORE] = self._cpu_before
        self.store_cpu()
        gc.callbacks.append(self._on_collection)

    def store_cpu(self) -> None:
        self._numbers[CPU_OWN] = self._cpu_before + time.process_time()

    def close(self) -> None:
        gc.callbacks.remove(self._on_collection)

    def _on_collection(self, stage: str, info: dict[str, int]) -> None:
        if stage == "stop":
            generation = info["generation"]
            self._numbers[COLLECTIONS + generation] += 1
            self._numbers[COLLECTED + generation] += info["collected"]
            self._numbers[UNCOLLECTABLE + generation] += info["uncollectable"]
            self.store_cpu()


class RuntimeCollector:
    """Reads the runtime of every process that holds a slot and can be seen from here."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._workers: dict[tuple[int, int], _Worker] = {}
        self._families: tuple[tuple[int, ...], list[Family]] = (), []

    def snapshots(self) -> Iterable[Snapshot]:
        try:
            rows = self._rows()
        except OSError as error:
            logger.warning("No runtime metrics in this scrape: %s", error)
            return
        places = list(zip(*rows.values(), strict=True))
        for family, column in zip(self._families_of(tuple(rows)), COLUMNS, strict=True):
            yield Snapshot(family, column.values(places) if places else ())

    def _rows(self) -> dict[int, tuple[float, ...]]:
        # So that no slot changes its owner meanwhile, and no other scrape shows another CPU time.
        with directory_locked(self._directory, SECONDS_A_SCRAPE_WAITS):
            holders = sorted(slots.holders(self._directory).items())
            known = self._workers
            self._workers = {of: known[of] for of in holders if of in known}
            return {number: row for number, pid in holders if pid and (row := self._row(number, pid))}

    def _row(self, number: int, pid: int) -> tuple[float, ...]:
        """The numbers of one worker in the order of COLUMNS; empty if it cannot be read."""
        for _ in range(2):
            try:
                if (number, pid) not in self._workers:
                    self._workers[number, pid] = _Worker(self._directory, number, pid)
                return self._workers[number, pid].row()
            except (OSError, struct.error):
                # It ended just now, belongs to another user, is another one with the same id, or has
                # made its file and not yet, or on a full disk never, given it its size.
                self._workers.pop((number, pid), None)
        return ()

    def _families_of(self, numbers: tuple[int, ...]) -> list[Family]:
        known, families = self._families
        if known != numbers or not families:
            families = [column.family(numbers) for column in COLUMNS]
            self._families = numbers, families
        return families


class _Worker:
    """A live process, with the files about it that a scrape reads.

    Raises:
        OSError: they cannot be read.
    """

    def __init__(self, directory: Path, number: int, pid: int) -> None:
        self._pid = pid
        self._descriptors = f"/proc/{pid}/fd"
        # Opening them again costs more than reading them.
        self._stat = self._opened(f"/proc/{pid}/stat", os.O_RDONLY)
        self._stat_begin = b"%d (" % pid
        self._numbers = self._opened(str(_file(directory, number)), os.O_RDWR)

    def _opened(self, path: str, flags: int) -> KeptDescriptor:
        kept = KeptDescriptor(os.open(path, flags | os.O_CLOEXEC))
        weakref.finalize(self, kept.close)
        return kept

    def row(self) -> tuple[float, ...]:
        stat = os.pread(self._stat.number, MAX_STAT_BYTES, 0)
        # What is read shows whether it is still that file, which costs less than asking for its identity.
        if not stat.startswith(self._stat_begin) or self._numbers.is_lost():
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        fields = stat.rpartition(b")")[2].split(None, MAX_STAT_FIELD + 1)
        numbers = NUMBERS.unpack(os.pread(self._numbers.number, NUMBERS.size, BEGIN))
        return (
            self._carry_on(numbers, (int(fields[11]) + int(fields[12])) / TICKS),
            float(fields[20]),
            float(fields[21]) * PAGE,
            float(fields[17]),
            BOOT_TIME + float(fields[19]) / TICKS,
            _open_files(self._descriptors),
            float(resource.prlimit(self._pid, resource.RLIMIT_NOFILE)[0]),
            *numbers[COLLECTIONS:],
            1.0,
        )

    def _carry_on(self, numbers: Sequence[float], cpu_seconds: float) -> float:
        """The CPU time of all owners of the slot, which is stored for its next owner as it is shown now."""
        exposed = numbers[CPU_BEFORE] + cpu_seconds
        if exposed <= numbers[CPU_EXPOSED]:
            return numbers[CPU_EXPOSED]
        os.pwrite(self._numbers.number, EXPOSED.pack(exposed), BEGIN + CPU_EXPOSED * DOUBLE)
        return exposed


def _open_files(path: str) -> float:
    # Since Linux 6.2, the size of the folder is the number; before, it is 0.
    return float(os.stat(path).st_size or len(os.listdir(path)))  # noqa: PTH116, PTH208 - fast


@dataclass(frozen=True)
class Column:
    """One metric, and the places of its values in a worker's row; `labels` are those of each value."""

    name: str
    type: str
    help: str
    first: int
    labels: tuple[LabelSet, ...] = ((),)

    def values(self, places: Sequence[Sequence[float]]) -> Sequence[float]:
        """Those of all workers, in the order of `family`; `places` are the rows by place."""
        if len(self.labels) == 1:
            return places[self.first]
        return list(
            chain.from_iterable(zip(*places[self.first : self.first + len(self.labels)], strict=True))
        )

    def family(self, workers: Iterable[int]) -> Family:
        sample = f"{self.name}_total" if self.type == "counter" else self.name
        series = [
            (sample, (("worker", str(worker)), *labels)) for worker in workers for labels in self.labels
        ]
        return Family(self.name, self.help, self.type, series)


def _boot_time() -> float:
    """When the kernel started, in Unix time; 0 without /proc, where no live worker can be shown."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)


BOOT_TIME = _boot_time()
# Without prometheus_client's label `version`, because that is the service's on every sample.
PYTHON = dict(
    zip(("major", "minor", "patchlevel"), platform.python_version_tuple(), strict=True),
    implementation=platform.python_implementation(),
)
BY_GENERATION: tuple[LabelSet, ...] = tuple([(("generation", str(number)),) for number in range(GENERATIONS)])
# Names and meanings as prometheus_client has them for a single process.
COLUMNS = (
    Column("process_cpu_seconds", "counter", "User and system CPU time spent, in seconds.", 0),
    Column("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", 1),
    Column("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", 2),
    Column("process_threads", "gauge", "Number of threads.", 3),
    Column("process_start_time_seconds", "gauge", "Start of the process in Unix time.", 4),
    Column("process_open_fds", "gauge", "Number of open file descriptors.", 5),
    Column("process_max_fds", "gauge", "Maximum number of open file descriptors.", 6),
    Column(
        "python_gc_collections", "counter", "Number of times this generation was collected", 7, BY_GENERATION
    ),
    Column("python_gc_objects_collected", "counter", "Objects collected during gc", 10, BY_GENERATION),
    Column(
        "python_gc_objects_uncollectable",
        "counter",
        "Uncollectable objects found during GC",
        13,
        BY_GENERATION,
    ),
    Column("python_info", "gauge", "Python platform information", 16, (tuple(PYTHON.items()),)),
)
