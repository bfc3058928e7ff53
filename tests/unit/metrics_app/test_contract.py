"""What every metrics adapter does."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import pytest

from metrics_app.adapters import scrape_gauges
from metrics_app.ports import (
    GaugeSample,
    InvalidMetricNameError,
    MetricKindError,
    MetricLabelsError,
    MetricsAdapter,
    MetricsLabels,
    MetricsPort,
)
from tests.exposition import samples, value

REQUEST = MetricsLabels(method="GET", route="home", code="200").to_dict()


def scrape(metrics: MetricsPort) -> str:
    return metrics.get_http_handler()().decode()


def test_a_counter_counts_its_calls(metrics: MetricsAdapter) -> None:
    for _ in range(3):
        metrics.inc_counter("http_requests_total", REQUEST)
    assert value(scrape(metrics), "http_requests_total", **REQUEST) == 3


def test_a_gauge_has_the_value_that_was_set_last(metrics: MetricsAdapter) -> None:
    metrics.set_gauge("scenario_runs", 5, {"state": "queued"})
    metrics.set_gauge("scenario_runs", 2, {"state": "queued"})
    assert value(scrape(metrics), "scenario_runs", state="queued") == 2


def test_a_histogram_counts_each_value_in_the_buckets_at_and_above_it(metrics: MetricsAdapter) -> None:
    for seconds in (0.005, 0.006, 99.0):
        metrics.observe_histogram("http_request_duration_seconds", seconds, REQUEST)
    text = scrape(metrics)
    name = "http_request_duration_seconds"
    buckets = {bound: value(text, f"{name}_bucket", le=bound) for bound in ("0.005", "0.01", "10.0", "+Inf")}
    assert buckets == {"0.005": 1, "0.01": 2, "10.0": 2, "+Inf": 3}
    assert value(text, f"{name}_count") == 3
    assert value(text, f"{name}_sum") == pytest.approx(99.011)


def test_every_sample_has_the_constant_labels(metrics: MetricsAdapter) -> None:
    metrics.inc_counter("http_requests_total", REQUEST)
    metrics.register_scrape_gauges(lambda: [GaugeSample("scenario_outstanding_faults", {}, 1)])
    constant = {("service", "shop"), ("instance", "shop-1"), ("version", "2.0")}
    every = [labels for series in samples(scrape(metrics)).values() for labels in series]
    assert len(every) >= 2
    assert all(constant <= labels for labels in every)


def test_constant_labels_may_be_repeated_in_a_call(metrics: MetricsAdapter) -> None:
    labels = MetricsLabels(service="shop", version="2.0", method="GET", route="home", code="200")
    metrics.inc_counter("http_requests_total", labels.to_dict())
    metrics.inc_counter("http_requests_total", REQUEST)
    assert value(scrape(metrics), "http_requests_total", **REQUEST) == 2


def test_a_constant_label_with_another_value_is_refused(metrics: MetricsAdapter) -> None:
    with pytest.raises(MetricLabelsError, match="'http_requests_total'"):
        metrics.inc_counter("http_requests_total", {**REQUEST, "service": "another"})


def test_labels_that_metrics_labels_leaves_out_are_empty(metrics: MetricsAdapter) -> None:
    metrics.inc_counter("http_requests_total", MetricsLabels(method="GET", code="200").to_dict())
    assert value(scrape(metrics), "http_requests_total", method="GET", code="200") == 1


def test_a_metric_outside_the_catalogue_gets_the_labels_of_its_first_call(metrics: MetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {"side": "buy"})
    with pytest.raises(MetricLabelsError, match=r"'orders_total' got the labels \['market', 'side'\]"):
        metrics.inc_counter("orders_total", {"side": "buy", "market": "x"})
    with pytest.raises(MetricLabelsError, match="it has"):
        metrics.inc_counter("orders_total", {})
    assert value(scrape(metrics), "orders_total", side="buy") == 1


def test_a_name_cannot_be_two_types_of_metric(metrics: MetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {})
    with pytest.raises(MetricKindError, match="'orders_total' is used as a gauge, but it is a counter"):
        metrics.set_gauge("orders_total", 1, {})


@pytest.mark.parametrize("name", ["", "1st_total", "_total", "a-b", "a b\n", "ä"])
def test_a_name_that_prometheus_cannot_hold_is_refused(metrics: MetricsAdapter, name: str) -> None:
    with pytest.raises(InvalidMetricNameError):
        metrics.inc_counter(name, {})


@pytest.mark.parametrize("label", ["le", "worker", "__name__", "a-b", "service"])
def test_a_label_that_means_something_else_is_refused(metrics: MetricsAdapter, label: str) -> None:
    with pytest.raises(InvalidMetricNameError, match=repr(label)):
        metrics.inc_counter("orders_total", {label: "x"})


def test_label_values_may_hold_anything(metrics: MetricsAdapter) -> None:
    odd = 'a "quote", a \\ and a\nline, ünïcode'
    metrics.inc_counter("orders_total", {"side": odd})
    assert value(scrape(metrics), "orders_total", side=odd) == 1


def test_a_label_value_that_is_no_unicode_is_exposed_with_question_marks(metrics: MetricsAdapter) -> None:
    for odd in ("caf\udce9", "caf\udcff"):
        metrics.inc_counter("orders_total", {"side": odd})
    assert value(scrape(metrics), "orders_total", side="caf?") == 2


def test_label_sets_beyond_the_limit_go_to_one_overflow_series_and_are_counted(
    metrics: MetricsAdapter,
) -> None:
    for number in range(10):
        metrics.inc_counter("orders_total", {"side": str(number)})
    metrics.inc_counter("orders_total", {"side": "2"})
    text = scrape(metrics)
    assert len(samples(text)["orders_total"]) == 3 + 1
    assert value(text, "orders_total", side="overflow") == 7
    assert value(text, "orders_total", side="2") == 2
    assert value(text, "metrics_dropped_series_total", metric="orders_total") == 7


def test_gauges_read_at_the_scrape_have_their_value_then(metrics: MetricsAdapter) -> None:
    queued = [GaugeSample("scenario_runs", {"state": "queued"}, 1)]
    metrics.register_scrape_gauges(lambda: queued)
    assert value(scrape(metrics), "scenario_runs", state="queued") == 1
    queued[0] = GaugeSample("scenario_runs", {"state": "queued"}, 7)
    assert value(scrape(metrics), "scenario_runs", state="queued") == 7


def test_a_scrape_answers_soon_without_gauges_that_hang(
    metrics: MetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape_gauges, "TIME_LIMIT", 2)
    never = threading.Event()

    def hanging() -> Iterable[GaugeSample]:
        never.wait()
        return [GaugeSample("scenario_runs", {"state": "queued"}, 1)]

    metrics.register_scrape_gauges(hanging)
    metrics.register_scrape_gauges(lambda: [GaugeSample("scenario_outstanding_faults", {}, 4)])
    for _ in range(2):
        start = time.monotonic()
        text = scrape(metrics)
        assert time.monotonic() - start < 30  # it hangs for ever; two seconds on an idle machine
        assert value(text, "scenario_outstanding_faults") == 4
        assert "scenario_runs" not in samples(text)
    hung = [thread for thread in threading.enumerate() if thread.name.endswith("hanging")]
    never.set()
    assert len(hung) == 1, "a thread that hangs is not started again"
    for thread in hung:
        thread.join(60)
    text = scrape(metrics)
    assert value(text, "metrics_scrape_gauges_failures_total", reason="hung") == 2
    assert value(text, "scenario_runs", state="queued") == 1


def raising() -> Iterable[GaugeSample]:
    raise ConnectionError("the database is gone")


def contradicting() -> Iterable[GaugeSample]:
    return [GaugeSample("scenario_runs", {"colour": "red"}, 1)]


@pytest.mark.parametrize("source", [raising, contradicting])
def test_gauges_that_cannot_be_read_are_left_out_and_counted(
    metrics: MetricsAdapter, source: FunctionType, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.register_scrape_gauges(source)
    assert "scenario_runs" not in samples(scrape(metrics))
    failures = {"reason": "raised", "source": f"{source.__module__}.{source.__qualname__}"}
    assert value(scrape(metrics), "metrics_scrape_gauges_failures_total", **failures) >= 1
    assert "could not be read" in caplog.text


def test_recording_goes_on_after_closing(metrics: MetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {})
    metrics.close()
    metrics.inc_counter("orders_total", {})
    assert value(scrape(metrics), "orders_total") == 2


def test_a_bound_counter_and_the_port_count_together(metrics: MetricsAdapter) -> None:
    bound = metrics.bind_counter("http_requests_total", REQUEST)
    assert "http_requests_total" not in samples(scrape(metrics)), "it is not there before it has counted"
    bound.inc()
    bound.inc(3)
    metrics.inc_counter("http_requests_total", REQUEST)
    assert value(scrape(metrics), "http_requests_total", **REQUEST) == 5


def test_a_bound_histogram_observes(metrics: MetricsAdapter) -> None:
    bound = metrics.bind_histogram("http_request_duration_seconds", REQUEST)
    for seconds in (0.005, 99.0):
        bound.observe(seconds)
    text = scrape(metrics)
    assert value(text, "http_request_duration_seconds_bucket", le="0.005") == 1
    assert value(text, "http_request_duration_seconds_sum", **REQUEST) == pytest.approx(99.005)


def test_binding_wrong_labels_is_refused_at_once(metrics: MetricsAdapter) -> None:
    with pytest.raises(MetricLabelsError):
        metrics.bind_counter("http_requests_total", {"colour": "red"})
    metrics.inc_counter("orders_total", {})
    with pytest.raises(MetricKindError):
        metrics.bind_histogram("orders_total", {})


def test_bound_metric_keeps_recording_after_closing(metrics: MetricsAdapter) -> None:
    bound = metrics.bind_counter("orders_total", {})
    bound.inc()
    metrics.close()
    bound.inc()
    assert value(scrape(metrics), "orders_total") == 2


def test_binding_beyond_the_limit_counts_each_recording_as_overflow(metrics: MetricsAdapter) -> None:
    for number in range(3):
        metrics.inc_counter("orders_total", {"side": str(number)})
    bound = metrics.bind_counter("orders_total", {"side": "one too many"})
    for _ in range(2):
        bound.inc()
    text = scrape(metrics)
    assert value(text, "orders_total", side="overflow") == 2
    assert value(text, "metrics_dropped_series_total", metric="orders_total") == 2


def test_nothing_that_is_bound_is_lost_between_threads(metrics: MetricsAdapter) -> None:
    bound = metrics.bind_counter("orders_total", {})

    def work() -> None:
        for _ in range(500):
            bound.inc()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    assert value(scrape(metrics), "orders_total") == 4000
