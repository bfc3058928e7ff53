"""The adapter in memory does not grow with what it records, and loses nothing."""

import pytest

from metrics_app.adapters import memory
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from tests.exposition import value

LABELS = {"method": "GET", "route": "home", "code": "200"}


@pytest.mark.parametrize("number", [1, 10, 11, 1000])
def test_stored_observations_are_bounded_and_sums_complete(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_VALUES", 10)
    metrics = InMemoryMetricsAdapter()
    for each in range(number):
        metrics.inc_counter("http_requests_total", LABELS)
        metrics.observe_histogram("http_request_duration_seconds", 0.02 if each % 2 else 0.2, LABELS)
    low, high = number // 2, number - number // 2
    assert len(metrics.observations("http_request_duration_seconds", LABELS)) <= 10
    assert metrics.value("http_requests_total", LABELS) == number
    assert metrics.value("http_request_duration_seconds", LABELS) == pytest.approx(0.02 * low + 0.2 * high)
    text = metrics.get_http_handler()()
    assert value(text, "http_request_duration_seconds_bucket", le="0.025") == low
    assert value(text, "http_request_duration_seconds_count") == number
