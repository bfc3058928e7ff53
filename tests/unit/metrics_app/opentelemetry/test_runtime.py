"""Each process pushes how it is itself."""

import gc
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter, runtime
from metrics_app.adapters.opentelemetry.runtime import runtime_samples
from tests.otlp_receiver import Push, Receiver, find_number, strings

CORE = {"process_cpu_seconds_total", "python_gc_collections_total", "python_info"}


@pytest.fixture
def push(pushing: OpenTelemetryMetricsAdapter, receiver: Receiver) -> Push:
    assert pushing.push_now(300)
    return receiver.pushes[-1]


def gauge(push: Push, name: str) -> float:
    [point] = push.metrics[name].gauge.data_points
    return find_number(point)


def test_process_metrics_are_those_of_this_process(push: Push) -> None:
    [cpu] = push.metrics["process_cpu_seconds_total"].sum.data_points
    assert push.metrics["process_cpu_seconds_total"].sum.is_monotonic
    assert time.process_time() - 5 < find_number(cpu) <= time.process_time()
    assert 1e6 < gauge(push, "process_resident_memory_bytes") < gauge(push, "process_virtual_memory_bytes")
    assert abs(gauge(push, "process_threads") - threading.active_count()) < 10
    assert 3 <= gauge(push, "process_open_fds") < gauge(push, "process_max_fds")
    assert time.time() - 86400 < gauge(push, "process_start_time_seconds") < time.time()


def test_python_version_and_collections_by_generation_are_exposed(push: Push) -> None:
    [info] = push.metrics["python_info"].gauge.data_points
    told = strings(info.attributes)
    assert ".".join((told["major"], told["minor"], told["patchlevel"])) == platform.python_version()
    collections = push.metrics["python_gc_collections_total"].sum.data_points
    counted = {strings(point.attributes)["generation"]: find_number(point) for point in collections}
    assert set(counted) == {"0", "1", "2"}
    assert 0 < counted["0"] <= gc.get_stats()[0]["collections"]


def test_without_proc_what_python_knows_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "PROCESS", tmp_path)
    names = {definition.name for definition, _ in runtime_samples()}
    assert names > CORE
    assert "process_threads" not in names


@pytest.fixture
def _collected_all_the_time() -> Iterator[None]:
    before = gc.get_threshold()
    # Every few objects, each time at another place; of the youngest alone, because all would take long.
    gc.set_threshold(7, 10_000, 10_000)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("_collected_all_the_time")
def test_finalizers_may_record_at_any_moment(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    def on_collection(_stage: str, _info: dict[str, int]) -> None:
        if threading.current_thread().name in {"MainThread", "metrics-push"}:
            pushing.observe_histogram("http_request_duration_seconds", 0.1, {"method": "GET"})
            pushing.inc_counter("orders_total", {})

    gc.callbacks.append(on_collection)
    try:
        recorder = pushing.request_recorder()
        for _ in range(200):
            recorder.begin("GET")
            recorder.finish(("GET", "home", 200), 0.1)
        assert pushing.push_now(300)
    finally:
        gc.callbacks.remove(on_collection)
    # Once more, for the push's thread may be in the midst of a callback still.
    assert pushing.push_now(300)
    assert "orders_total" in receiver.pushes[-1].metrics
