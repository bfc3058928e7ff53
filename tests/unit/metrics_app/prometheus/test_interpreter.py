"""Requests are recorded without a lock, where no other thread can run in between, and with one elsewhere."""

import dis
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, interpreter
from metrics_app.adapters.prometheus.mapped_cells import MappedCell
from metrics_app.adapters.prometheus.mapped_histograms import MappedHistograms, MappedHistogramsRecorder
from metrics_app.adapters.prometheus.recorder import MappedRequestRecorder
from tests.exposition import value

THREADS, REQUESTS = 8, 1500
SWITCHES = ("CALL", "RESUME", "JUMP_BACKWARD", "SEND", "YIELD", "FOR_ITER")
"""What instructions are called, by their beginnings, in which another thread may take over."""


def interruptions(function: Callable[..., Any]) -> list[str]:
    """What stands between reading a number, adding to it and storing it, and may let another thread run."""
    code = list(dis.get_instructions(function))
    stores = [
        place for place, step in enumerate(code) if step.opname == "STORE_ATTR" and step.argval == "value"
    ]
    stores += [place for place, step in enumerate(code) if step.opname == "STORE_SUBSCR"]
    found = []
    for store in stores:
        read = max(
            place
            for place, step in enumerate(code[:store])
            if step.opname.startswith("LOAD_ATTR") and step.argval == "value"
        )
        found += [step.opname for step in code[read:store] if step.opname.startswith(SWITCHES)]
    assert stores
    return found


@pytest.mark.parametrize(
    "function",
    [
        MappedCell.add,
        MappedRequestRecorder.begin,
        MappedRequestRecorder.finish,
        MappedHistograms.observe,
        MappedHistogramsRecorder.finish,
    ],
)
def test_nothing_can_come_between_reading_a_number_and_storing_it(function: Callable[..., Any]) -> None:
    assert interruptions(function) == []


def test_a_call_in_between_is_noticed() -> None:
    def add(cell: MappedCell, amount: int) -> None:
        cell.value = cell.value + float(amount)

    assert any(found.startswith("CALL") for found in interruptions(add))


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(params=[False, True], ids=["lockless", "with a lock"])
def needs_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """As in a Python that is built without the global lock, or not."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: not request.param, raising=False)
    return bool(request.param)


@pytest.fixture
def metrics(directory: Path, needs_locks: bool) -> Iterator[PrometheusMetricsAdapter]:
    adapter = PrometheusMetricsAdapter(directory=directory)
    yield adapter
    adapter.close()


def test_a_lock_is_taken_where_threads_run_at_once(
    metrics: PrometheusMetricsAdapter, needs_locks: bool
) -> None:
    assert interpreter.needs_locks() is needs_locks
    assert isinstance(metrics.request_recorder(), MappedRequestRecorder) is not needs_locks


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("is_traced", [False, True])
def test_no_request_of_many_threads_is_lost(metrics: PrometheusMetricsAdapter, is_traced: bool) -> None:
    recorder = metrics.request_recorder()
    detailed = metrics.detailed_recorder(["http_response_size_bytes"])
    together = threading.Barrier(THREADS)
    number = REQUESTS // 10 if is_traced else REQUESTS

    def trace(*_: object) -> Callable[..., Any]:
        return trace

    def work() -> None:
        together.wait()
        if is_traced:  # a debugger lets other threads run between any two lines
            sys.settrace(trace)
        for _ in range(number):
            recorder.begin("GET")
            recorder.finish(("GET", "home", 404), 1.0)
            detailed.begin("POST")
            detailed.finish(("POST", "home", 200), 1.0, "", [8.0])

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(work) for _ in range(THREADS)]:
            done.result()
    text = metrics.get_http_handler()().decode()
    for name in ("http_requests_total", "http_request_duration_seconds_count"):
        assert value(text, name, method="GET") == value(text, name, method="POST") == THREADS * number
    assert value(text, "http_request_errors_total") == THREADS * number
    assert value(text, "http_request_duration_seconds_sum") == 2 * THREADS * number
    assert value(text, "http_response_size_bytes_sum") == 8 * THREADS * number
    assert value(text, "http_requests_in_progress") == 0


def test_an_unknown_python_takes_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "FIRST_UNKNOWN", sys.version_info[:2])
    assert interpreter.needs_locks()
