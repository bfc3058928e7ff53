"""process_*, python_gc_* and python_info of this process, by the names that Prometheus' clients use."""

import gc
import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from metrics_app.adapters.scrape_gauges import DefinedSample
from metrics_app.catalogue import Definition, Kind
from metrics_app.ports import GaugeSample, Labels

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = resource.getpagesize()
PROCESS = Path("/proc/self")

# Without the label `version`, because that is the service's.
PYTHON = dict(
    zip(("major", "minor", "patchlevel"), platform.python_version_tuple(), strict=True),
    implementation=platform.python_implementation(),
)


def runtime_samples() -> list[DefinedSample]:
    """What can be measured of this process now; less without /proc."""
    return [*_python(), *_memory_and_files()]


def _python() -> Iterator[DefinedSample]:
    yield _counter("process_cpu_seconds_total", "User and system CPU time spent.", time.process_time())
    for number, statistics in enumerate(gc.get_stats()):
        generation = {"generation": str(number)}
        for name, key, meaning in (
            ("collections", "collections", "Number of times this generation was collected."),
            ("objects_collected", "collected", "Objects collected by the garbage collector."),
            ("objects_uncollectable", "uncollectable", "Objects that could not be collected."),
        ):
            yield _counter(f"python_gc_{name}_total", meaning, statistics[key], generation)
    yield _gauge("python_info", "Python platform information.", 1.0, PYTHON)


def _memory_and_files() -> Iterator[DefinedSample]:
    try:
        fields = (PROCESS / "stat").read_bytes().rpartition(b")")[2].split()
        open_files = len(os.listdir(PROCESS / "fd"))  # noqa: PTH208 - names alone, and fast
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except OSError:
        return
    started = float(boot.split()[1]) + float(fields[19]) / TICKS
    most_open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield _gauge("process_virtual_memory_bytes", "Virtual memory size.", float(fields[20]))
    yield _gauge("process_resident_memory_bytes", "Resident memory size.", float(fields[21]) * PAGE)
    yield _gauge("process_threads", "Number of threads.", float(fields[17]))
    yield _gauge("process_start_time_seconds", "Start of the process in Unix time.", started)
    yield _gauge("process_open_fds", "Number of open file descriptors.", float(open_files))
    yield _gauge("process_max_fds", "Maximum number of open file descriptors.", float(most_open_files))


def _counter(name: str, meaning: str, value: float, labels: Labels | None = None) -> DefinedSample:
    names = tuple(labels or ())
    return Definition(name, Kind.COUNTER, meaning, names), GaugeSample(name, labels or {}, value)


def _gauge(name: str, meaning: str, value: float, labels: Labels | None = None) -> DefinedSample:
    names = tuple(labels or ())
    return Definition(name, Kind.GAUGE, meaning, names), GaugeSample(name, labels or {}, value)
