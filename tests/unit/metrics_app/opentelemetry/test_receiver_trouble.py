"""A receiver that is down, refuses or hangs costs no request anything, and nothing is lost by it."""

import logging
import time
from collections.abc import Iterator

import pytest

from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter, adapter
from metrics_app.adapters.opentelemetry.series import MANY_WAITING, MAX_WAITING, Observations
from metrics_app.ports import MetricsOptions
from tests.exposition import value
from tests.otlp_receiver import Receiver

REQUESTS = 3 * MANY_WAITING
MAX_SECONDS_PER_REQUEST = 0.005


@pytest.fixture(autouse=True)
def _short_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "LAST_PUSH_SECONDS", 0.2)


@pytest.fixture
def hanging(receiver: Receiver) -> Iterator[Receiver]:
    receiver.answering.clear()
    yield receiver
    receiver.answering.set()


def record(metrics: OpenTelemetryMetricsAdapter) -> float:
    """How many seconds it took to record these requests."""
    recorder = metrics.request_recorder()
    start = time.perf_counter()
    for _ in range(REQUESTS):
        recorder.begin("GET")
        recorder.finish(("GET", "home", 200), 0.1)
    return time.perf_counter() - start


def test_recording_does_not_wait_for_a_receiver_that_hangs(
    pushing: OpenTelemetryMetricsAdapter, hanging: Receiver
) -> None:
    pushing.inc_counter("orders_total", {})
    assert not pushing.push_now(0)
    hanging.wait_until_asked()
    assert record(pushing) < REQUESTS * MAX_SECONDS_PER_REQUEST
    assert hanging.pushes == []


def test_nothing_is_lost_when_a_receiver_answers_again(
    pushing: OpenTelemetryMetricsAdapter, hanging: Receiver
) -> None:
    record(pushing)
    assert not pushing.push_now(0)
    hanging.wait_until_asked()
    record(pushing)
    hanging.answering.set()
    assert pushing.push_now(300)
    assert value(hanging.exposition(), "http_requests_total") == 2 * REQUESTS
    assert value(hanging.exposition(), "http_request_duration_seconds_count") == 2 * REQUESTS


def test_recording_does_not_wait_for_a_receiver_that_is_down(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.stop()
    pushing.inc_counter("orders_total", {})
    assert not pushing.push_now(0.1)
    assert record(pushing) < REQUESTS * MAX_SECONDS_PER_REQUEST
    assert "Transient error" in caplog.text


@pytest.mark.parametrize("trouble", ["down", "hanging"])
def test_closing_waits_for_a_receiver_in_trouble_no_longer_than_it_may(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.stop() if trouble == "down" else receiver.answering.clear()
    pushing.inc_counter("orders_total", {})
    start = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        pushing.close()
    assert time.perf_counter() - start < 30  # a receiver that hangs would be waited for without end
    assert f"{receiver.endpoint}/v1/metrics did not accept them within 0.2 s" in caplog.text


def test_a_receiver_that_is_busy_is_asked_again(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    receiver.answer = 503
    pushing.inc_counter("orders_total", {})
    assert not pushing.push_now(0)
    receiver.wait_until_asked()
    receiver.answer = 200
    receiver.wait_for(pushes=1)
    assert value(receiver.exposition(), "orders_total") == 1


def test_refused_push_is_logged_and_sent_with_the_next(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = 400
    pushing.inc_counter("orders_total", {})
    assert pushing.push_now(300)
    assert "Failed to export metrics batch code: 400" in caplog.text
    receiver.answer = 200
    assert pushing.push_now(300)
    assert value(receiver.exposition(), "orders_total") == 1


def test_undelivered_observations_are_bounded_and_reported_now_and_then() -> None:
    told: list[None] = []
    observations = Observations({}, lambda: told.append(None))
    for _ in range(MAX_WAITING + 10):
        observations.add(1.0)
    assert len(observations.waiting) == MAX_WAITING
    assert len(told) == MAX_WAITING // MANY_WAITING - 1


def test_making_an_adapter_starts_nothing(receiver: Receiver, options: MetricsOptions) -> None:
    OpenTelemetryMetricsAdapter.configured(options).close()
    assert receiver.pushes == []


def test_sdk_error_is_logged_and_the_next_push_works(
    pushing: OpenTelemetryMetricsAdapter,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "nonsense")
    pushing.inc_counter("orders_total", {})
    assert pushing.push_now(300)
    assert "Unknown exemplar filter 'nonsense'" in caplog.text
    monkeypatch.delenv("OTEL_METRICS_EXEMPLAR_FILTER")
    assert pushing.push_now(300)
    assert value(receiver.exposition(), "orders_total") == 1
