"""A finaliser or signal handler may record in the midst of another recording: both count, nothing hangs."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.ports import MetricsAdapter, MetricsOptions, MetricsPort
from tests.exposition import value
from tests.otlp_receiver import Receiver

TRACED = ("/metrics_app/", "/prometheus_client/mmap_dict.py")


class Interruption:
    """Calls something before one line of the adapters' code is executed, as a signal would."""

    def __init__(self, at: int, call: Callable[[], None]) -> None:
        self._left = at
        self._call = call
        self.happened = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:
        if (
            not any(part in frame.f_code.co_filename for part in TRACED)
            or "/tests/" in frame.f_code.co_filename
        ):
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                self.happened = True
                self._call()
        return self


def interrupted(at: int, work: Callable[[], object], call: Callable[[], None]) -> bool:
    """Do the work and be interrupted at this line of it; whether there was such a line."""
    interruption = Interruption(at, call)
    before = sys.gettrace()
    sys.settrace(interruption)
    try:
        work()
    finally:
        sys.settrace(before)
    return interruption.happened


def record_all(metrics: MetricsPort) -> None:
    recorder = metrics.request_recorder()
    recorder.begin("GET")
    recorder.finish(("GET", "inner", 500), 0.1)
    metrics.inc_counter("inner_total", {"side": "buy"})
    metrics.inc_counter("orders_total", {})
    metrics.observe_histogram("waited", 1, {})
    metrics.set_gauge("depth", 3, {})


def assert_both(text: bytes, line: int) -> None:
    found = [
        value(text, name)
        for name in ("inner_total", "orders_total", "waited_count", "depth", "http_requests_total")
    ]
    assert found == [1, 2, 1, 3, 1], f"interrupted at line {line}"
    assert value(text, "http_requests_in_progress") == 0, f"interrupted at line {line}"


@pytest.mark.parametrize("adapter", [InMemoryMetricsAdapter, PrometheusMetricsAdapter])
def test_interrupted_at_many_lines_of_the_first_recording(
    adapter: type[MetricsAdapter], tmp_path: Path
) -> None:
    line, more = 1, True
    while more:
        metrics = adapter.configured(MetricsOptions(directory=tmp_path / str(line)))
        more = interrupted(
            line,
            lambda metrics=metrics: metrics.inc_counter("orders_total", {}),  # type: ignore[misc]
            lambda metrics=metrics: record_all(metrics),  # type: ignore[misc]
        )
        if more:
            assert_both(metrics.get_http_handler()(), line)
        metrics.close()
        line += 3
    assert line > 50


def test_interrupted_at_many_lines_of_the_first_pushed_recording(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    for line in range(1, 60, 6):
        metrics = OpenTelemetryMetricsAdapter()
        name = f"orders_{line}_total"
        happened = interrupted(
            line,
            lambda metrics=metrics, name=name: metrics.inc_counter(name, {}),  # type: ignore[misc]
            lambda metrics=metrics, name=name: metrics.inc_counter(name, {}),  # type: ignore[misc]
        )
        metrics.close()
        assert value(receiver.exposition(), name) == 1 + happened


def test_interrupted_at_many_lines_of_the_first_scrape(tmp_path: Path) -> None:
    line, more = 1, True
    while more:
        metrics = PrometheusMetricsAdapter(directory=tmp_path / str(line))
        metrics.set_gauge("other", 1, {})
        metrics.close()
        more = interrupted(
            line,
            metrics.get_http_handler(),
            lambda metrics=metrics: metrics.inc_counter("orders_total", {}),  # type: ignore[misc]
        )
        assert value(metrics.get_http_handler()(), "orders_total") == more
        metrics.close()
        line += 17


def test_interrupted_by_a_stream_of_real_signals(tmp_path: Path) -> None:
    handled = 0
    metrics = PrometheusMetricsAdapter(directory=tmp_path)

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal handled
        handled += 1
        metrics.inc_counter("signals_total", {"number": str(handled % 50)})

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(400):
            metrics.inc_counter("orders_total", {"number": str(number)})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 400
    assert value(text, "signals_total") == handled
    metrics.close()
