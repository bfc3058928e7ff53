"""Exponential histograms over OTLP, by OpenTelemetry's own variable."""

import random
from collections.abc import Iterator
from itertools import accumulate

import pytest

from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.ports import MetricsOptions
from tests.otlp_receiver import Receiver, strings


@pytest.fixture
def exponential(
    receiver: Receiver, options: MetricsOptions, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenTelemetryMetricsAdapter]:
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"
    )
    adapter = OpenTelemetryMetricsAdapter.configured(options)
    yield adapter
    adapter.close()


def test_quantiles_of_what_arrives_are_right_within_the_error_of_the_scale(
    exponential: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    chosen = random.Random(5)  # noqa: S311 - a distribution
    observed = sorted(chosen.lognormvariate(-3, 0.8) for _ in range(2001))
    for seconds in observed:
        exponential.observe_histogram("waited_seconds", seconds, {"queue": "a"})
    assert exponential.push_now(300)
    [point] = receiver.pushes[-1].metrics["waited_seconds"].exponential_histogram.data_points
    assert strings(point.attributes) == {"queue": "a"}
    assert (point.count, point.sum) == (len(observed), pytest.approx(sum(observed)))
    growth = 2**2**-point.scale
    for part in (0.5, 0.9, 0.99):
        rank = part * (len(observed) - 1)
        below = accumulate(point.positive.bucket_counts)
        place = next(place for place, count in enumerate(below) if count > rank)
        upper = growth ** (point.positive.offset + place + 1)
        assert upper / growth < observed[int(rank)] <= upper * (1 + 1e-9)
    assert growth < 1.1


def test_requests_are_exponential_then_too(
    exponential: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    recorder = exponential.request_recorder()
    recorder.begin("GET")
    recorder.finish(("GET", "home", 200), 0.1)
    assert exponential.push_now(300)
    [point] = receiver.pushes[-1].metrics["http_request_duration_seconds"].exponential_histogram.data_points
    assert point.count == sum(point.positive.bucket_counts) == 1
