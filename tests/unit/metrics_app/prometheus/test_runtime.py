"""CPU, memory, descriptors, threads and garbage collections of every live worker."""

import gc
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, runtime
from tests.exposition import samples, value
from tests.other_process import OtherProcess

BURN_CPU = (
    "import time; start = time.process_time(); any(time.process_time() > start + 0.2 for _ in iter(int, 1))"
)
CPU = "process_cpu_seconds_total"


def scrape(metrics: PrometheusMetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def test_a_process_that_is_scraped_shows_its_own_runtime_at_once(metrics: PrometheusMetricsAdapter) -> None:
    gc.collect()  # else what earlier tests left is closed between the scrape and the count
    text = scrape(metrics)
    used = resource.getrusage(resource.RUSAGE_SELF)
    assert value(text, CPU, worker="0") == pytest.approx(used.ru_utime + used.ru_stime, abs=0.5)
    assert value(text, "process_resident_memory_bytes") == pytest.approx(used.ru_maxrss * 1024, rel=0.9)
    assert value(text, "process_open_fds") == pytest.approx(len(list(Path("/proc/self/fd").iterdir())), abs=3)
    assert value(text, "process_max_fds") == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert value(text, "python_info", implementation="CPython") == 1
    started = Path("/proc/self").stat().st_ctime
    assert value(text, "process_start_time_seconds") == pytest.approx(started, abs=60)


def test_each_live_worker_has_its_series_and_a_dead_one_has_none(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    with OtherProcess(directory):
        pass
    with OtherProcess(directory), OtherProcess(directory):
        workers = {dict(labels)["worker"] for labels in samples(scrape(metrics))["process_threads"]}
        assert workers == {"0", "1", "2"}
    assert len(samples(scrape(metrics))["process_threads"]) == 1


def test_cpu_time_never_falls_when_a_worker_is_killed(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    last = 0.0
    for _ in range(3):
        with OtherProcess(directory) as other:
            before = value(scrape(metrics), CPU, worker="1")
            other.run(BURN_CPU)
            after = value(scrape(metrics), CPU, worker="1")
        # The kernel rounds user and system time down, each to a hundredth of a second.
        assert last <= before <= after - 0.17
        last = after


def test_cpu_time_that_no_scrape_saw_is_carried_over_when_a_worker_ends(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    with OtherProcess(directory) as other:
        other.run("import gc; gc.disable()")
        for _ in range(4):
            other.run(BURN_CPU)
        other.leave()
        with OtherProcess(directory):
            assert value(scrape(metrics), CPU, worker="1") >= 0.8


def test_garbage_collections_are_counted_by_generation(metrics: PrometheusMetricsAdapter) -> None:
    before = value(scrape(metrics), "python_gc_collections_total", generation="2")
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    gc.collect()
    text = scrape(metrics)
    assert value(text, "python_gc_collections_total", generation="2") >= before + 1
    assert value(text, "python_gc_objects_collected_total", generation="2") >= 1


def test_collections_of_garbage_are_carried_over_to_the_next_owner_of_a_slot(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    last = 0.0
    for _ in range(3):
        with OtherProcess(directory) as other:
            other.run("import gc; gc.collect()")
            collections = value(scrape(metrics), "python_gc_collections_total", worker="1", generation="2")
        assert collections >= last + 1
        last = collections


def test_open_files_are_counted_where_the_kernel_does_not_tell_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = runtime._open_files("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda _path: SimpleNamespace(st_size=0))  # before Linux 6.2
        counted = runtime._open_files("/proc/self/fd")
    assert counted == pytest.approx(told, abs=1)


def test_a_closed_adapter_leaves_no_callback_behind(metrics: PrometheusMetricsAdapter) -> None:
    before = list(gc.callbacks)
    metrics.inc_counter("orders_total", {})
    assert len(gc.callbacks) == len(before) + 1
    metrics.close()
    assert gc.callbacks == before


def test_a_finaliser_may_record_while_a_recording_holds_the_lock(metrics: PrometheusMetricsAdapter) -> None:
    class Recording:
        def __del__(self) -> None:
            metrics.inc_counter("finalised_total", {})

    with metrics._files.lock:
        Recording()
    assert value(scrape(metrics), "finalised_total") == 1


def test_a_worker_without_room_for_its_runtime_fails_no_scrape(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    with OtherProcess(directory):
        os.truncate(directory / "slot-0.runtime", 0)
        text = scrape(metrics)
    assert {dict(labels)["worker"] for labels in samples(text)["process_threads"]} == {"1"}
    assert value(text, "orders_total") == 1
