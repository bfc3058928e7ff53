"""process_*, python_gc_* and python_info of every live worker, which no collector has in multiprocess mode.

The series of a worker are named by its slot. Counters carry on what the slot's earlier owners used:
summed over the living, CPU time would fall whenever a worker dies, and each fall looks like a reset.
What a slot's owner cannot tell any more after kill -9, the last scrape has written down.
"""

import gc
import mmap
import os
import platform
import resource
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from metrics_app.adapters.prometheus import slots

GENERATIONS = 3
CPU_BEFORE, CPU_OWN, CPU_EXPOSED, COLLECTIONS = 0, 1, 2, 3
COLLECTED, UNCOLLECTABLE = COLLECTIONS + GENERATIONS, COLLECTIONS + 2 * GENERATIONS
NUMBERS = struct.Struct(f"{COLLECTIONS + 3 * GENERATIONS}d")
DOUBLE = 8

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = resource.getpagesize()


def _file(directory: Path, number: int) -> Path:
    return directory / f"runtime-{number}.bin"


class RuntimeRecord:
    """The counters of one slot's owner, kept in the slot's runtime file.

    A garbage collection may start anywhere, under any lock: its callback takes none and stores
    numbers that nobody else stores.
    """

    def __init__(self, directory: Path, number: int) -> None:
        with _file(directory, number).open("a+b") as file:
            file.truncate(NUMBERS.size)
            self._numbers = memoryview(mmap.mmap(file.fileno(), NUMBERS.size)).cast("B").cast("d")
        # A scrape may have shown more than the last owner wrote down, or the other way round.
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

    def collect(self) -> Iterable[Metric]:
        families = _Families()
        # No slot changes hands meanwhile, and no other scrape shows another CPU time.
        with slots.directory_locked(self._directory):
            for number, pid in sorted(slots.holders(self._directory).items()):
                if pid:
                    self._collect_worker(families, number, pid)
        return families.all()

    def _collect_worker(self, families: "_Families", number: int, pid: int) -> None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            open_files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names alone, and fast
            most_open_files = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
            numbers = self._carry_on(number, (int(fields[11]) + int(fields[12])) / TICKS)
        except OSError:
            return  # it ended just now, or belongs to another user
        worker = str(number)
        families.cpu.add_metric([worker], numbers[CPU_EXPOSED])
        families.virtual.add_metric([worker], float(fields[20]))
        families.resident.add_metric([worker], float(fields[21]) * PAGE)
        families.threads.add_metric([worker], float(fields[17]))
        families.start.add_metric([worker], BOOT_TIME + float(fields[19]) / TICKS)
        families.open_files.add_metric([worker], open_files)
        families.most_open_files.add_metric([worker], float(most_open_files))
        for generation in range(GENERATIONS):
            labels = [worker, str(generation)]
            families.collections.add_metric(labels, numbers[COLLECTIONS + generation])
            families.collected.add_metric(labels, numbers[COLLECTED + generation])
            families.uncollectable.add_metric(labels, numbers[UNCOLLECTABLE + generation])
        families.info.add_metric([worker, *PYTHON.values()], 1.0)

    def _carry_on(self, number: int, cpu_seconds: float) -> tuple[float, ...]:
        """The numbers of a slot, with the CPU time that is shown now written down for its next owner."""
        descriptor = os.open(_file(self._directory, number), os.O_RDWR)
        try:
            numbers = list(NUMBERS.unpack(os.pread(descriptor, NUMBERS.size, 0)))
            numbers[CPU_EXPOSED] = max(numbers[CPU_EXPOSED], numbers[CPU_BEFORE] + cpu_seconds)
            os.pwrite(descriptor, struct.pack("d", numbers[CPU_EXPOSED]), CPU_EXPOSED * DOUBLE)
        finally:
            os.close(descriptor)
        return tuple(numbers)


class _Families:
    """Names and meanings as prometheus_client has them for a single process."""

    def __init__(self) -> None:
        worker, generation = ["worker"], ["worker", "generation"]
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        self.cpu = counter(
            "process_cpu_seconds", "User and system CPU time spent, in seconds.", labels=worker
        )
        self.virtual = gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", labels=worker)
        self.resident = gauge(
            "process_resident_memory_bytes", "Resident memory size in bytes.", labels=worker
        )
        self.threads = gauge("process_threads", "Number of threads.", labels=worker)
        self.start = gauge("process_start_time_seconds", "Start of the process in Unix time.", labels=worker)
        self.open_files = gauge("process_open_fds", "Number of open file descriptors.", labels=worker)
        self.most_open_files = gauge("process_max_fds", "Most file descriptors it may open.", labels=worker)
        self.collections = counter(
            "python_gc_collections", "Number of times this generation was collected", labels=generation
        )
        self.collected = counter(
            "python_gc_objects_collected", "Objects collected during gc", labels=generation
        )
        self.uncollectable = counter(
            "python_gc_objects_uncollectable", "Uncollectable objects found during GC", labels=generation
        )
        self.info = gauge("python_info", "Python platform information", labels=[*worker, *PYTHON])

    def all(self) -> list[Metric]:
        return list(vars(self).values())


def _boot_time() -> float:
    """When the kernel started, in Unix time; 0 where there is no /proc, and no live worker to show."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)


BOOT_TIME = _boot_time()
# Without prometheus_client's label `version`, for that is the service's on every sample.
PYTHON = dict(
    zip(("major", "minor", "patchlevel"), platform.python_version_tuple(), strict=True),
    implementation=platform.python_implementation(),
)
