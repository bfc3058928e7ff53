"""What every metrics adapter does."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import pytest

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


def test_histograms_that_are_bound_together_take_a_value_each_or_none(metrics: MetricsAdapter) -> None:
    request = {"method": "GET", "route": "home"}
    sizes = ("http_request_size_bytes", {**request, "code": "200"})
    bound = metrics.bind_histograms([sizes, ("http_request_database_queries", request)])
    for values in ([120.0, 0.0], [None, 7.0], [30.0, None]):
        bound.observe(values)
    text = scrape(metrics)
    assert value(text, "http_request_size_bytes_sum") == 150
    assert value(text, "http_request_size_bytes_bucket", le="100.0") == 1
    assert value(text, "http_request_database_queries_bucket", le="0.0") == 1
    assert value(text, "http_request_database_queries_count") == 2
    assert value(text, "http_request_database_queries_sum") == 7


def test_histograms_that_are_bound_together_record_after_a_close(metrics: MetricsAdapter) -> None:
    bound = metrics.bind_histograms([("http_request_database_queries", {"method": "GET", "route": "home"})])
    for _ in range(2):
        bound.observe([1.0])
    metrics.close()
    bound.observe([1.0])
    assert value(scrape(metrics), "http_request_database_queries_count") in {1, 3}  # kept in files, or lost


def test_details_of_a_request_are_recorded_with_it(metrics: MetricsAdapter) -> None:
    names = ["http_response_size_bytes", "http_request_database_queries"]
    recorder = metrics.detailed_recorder(names)
    for queries in (0.0, 3.0, None):
        recorder.begin("GET")
        recorder.finish(("GET", "home", 200), 0.2, "", [100.0, queries])
    recorder.begin("GET")
    recorder.cancel("GET")
    text = scrape(metrics)
    assert value(text, "http_requests_total", **REQUEST) == 3
    assert value(text, "http_request_duration_seconds_count", **REQUEST) == 3
    assert value(text, "http_requests_in_progress", method="GET") == 0
    assert value(text, "http_response_size_bytes_sum", **REQUEST) == 300
    assert value(text, "http_request_database_queries_count", method="GET", route="home") == 2


def test_details_beyond_the_limit_go_to_the_overflow_series(metrics: MetricsAdapter) -> None:
    recorder = metrics.detailed_recorder(["http_response_size_bytes"])
    for route in "abcdefed":
        recorder.begin("GET")
        recorder.finish(("GET", route, 200), 0.2, "", [100.0])
    text = scrape(metrics)
    assert value(text, "http_response_size_bytes_count", route="overflow") == 5
    assert value(text, "metrics_dropped_series_total", metric="http_response_size_bytes") == 5


def test_requests_are_recorded_with_rate_errors_and_duration(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    for code in (200, 404, 500):
        recorder.begin("GET")
        recorder.finish("GET", "home", code, 0.2)
    text = scrape(metrics)
    assert value(text, "http_requests_total", method="GET", route="home") == 3
    assert value(text, "http_request_errors_total") == 2
    assert value(text, "http_request_errors_total", code="200") == 0
    assert value(text, "http_request_duration_seconds_sum", code="500") == 0.2


def test_a_request_whose_end_is_known_is_recorded_like_any_other(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    detailed = metrics.detailed_recorder(["http_response_size_bytes"])
    for _ in range(2):
        recorder.begin("GET")
        recorder.finish("GET", "home", 200, 0.2, ended=time.perf_counter())
        detailed.begin("GET")
        detailed.finish(("GET", "home", 200), 0.2, "", [100.0], time.perf_counter())
    text = scrape(metrics)
    assert value(text, "http_requests_total", **REQUEST) == 4
    assert value(text, "http_request_duration_seconds_count", **REQUEST) == 4
    assert value(text, "http_response_size_bytes_count", **REQUEST) == 2
    assert value(text, "http_requests_in_progress", method="GET") == 0


def test_requests_beyond_the_limit_of_label_sets_are_counted_as_such_each_time(
    metrics: MetricsAdapter,
) -> None:
    recorder = metrics.request_recorder()
    for route in ("a", "b", "c", "d", "d"):
        recorder.begin("GET")
        recorder.finish("GET", route, 200, 0.1)
    text = scrape(metrics)
    assert value(text, "http_requests_total", route="overflow") == 2
    assert value(text, "metrics_dropped_series_total", metric="http_requests_total") == 2


def test_a_request_is_in_progress_until_it_is_finished(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    recorder.begin("GET")
    recorder.begin("GET")
    recorder.finish("GET", "home", 200, 0.1)
    assert value(scrape(metrics), "http_requests_in_progress", method="GET") == 1


def test_no_recording_is_lost_between_threads(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(500):
            recorder.begin("GET")
            recorder.finish("GET", "home", 200, 1.0)
            metrics.inc_counter("orders_total", {"side": "buy"})

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    text = scrape(metrics)
    assert value(text, "http_requests_total") == 4000
    assert value(text, "http_request_duration_seconds_sum") == 4000
    assert value(text, "http_requests_in_progress") == 0
    assert value(text, "orders_total") == 4000


def test_gauges_read_at_the_scrape_have_their_value_then(metrics: MetricsAdapter) -> None:
    queued = [GaugeSample("scenario_runs", {"state": "queued"}, 1)]
    metrics.register_scrape_gauges(lambda: queued)
    assert value(scrape(metrics), "scenario_runs", state="queued") == 1
    queued[0] = GaugeSample("scenario_runs", {"state": "queued"}, 7)
    assert value(scrape(metrics), "scenario_runs", state="queued") == 7


def test_a_scrape_answers_soon_without_gauges_that_hang(metrics: MetricsAdapter) -> None:
    never = threading.Event()

    def hanging() -> Iterable[GaugeSample]:
        never.wait()
        return [GaugeSample("scenario_runs", {"state": "queued"}, 1)]

    metrics.register_scrape_gauges(hanging)
    metrics.register_scrape_gauges(lambda: [GaugeSample("scenario_outstanding_faults", {}, 4)])
    for _ in range(2):
        start = time.monotonic()
        text = scrape(metrics)
        assert time.monotonic() - start < 30  # it hangs for ever; a second on an idle machine
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


def test_what_is_bound_with_wrong_labels_is_refused_at_once(metrics: MetricsAdapter) -> None:
    with pytest.raises(MetricLabelsError):
        metrics.bind_counter("http_requests_total", {"colour": "red"})
    metrics.inc_counter("orders_total", {})
    with pytest.raises(MetricKindError):
        metrics.bind_histogram("orders_total", {})


def test_what_is_bound_records_on_after_closing(metrics: MetricsAdapter) -> None:
    bound = metrics.bind_counter("orders_total", {})
    bound.inc()
    metrics.close()
    bound.inc()
    assert value(scrape(metrics), "orders_total") == 2


def test_what_is_bound_beyond_the_limit_is_counted_as_such_each_time(metrics: MetricsAdapter) -> None:
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
