"""How every metrics adapter records requests, with and without details."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from metrics_app.ports import MetricsAdapter, MetricsLabels, MetricsPort
from tests.exposition import value

REQUEST = MetricsLabels(method="GET", route="home", code="200").to_dict()


def scrape(metrics: MetricsPort) -> str:
    return metrics.get_http_handler()().decode()


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
        recorder.finish(("GET", "home", code), 0.2)
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
        recorder.finish(("GET", "home", 200), 0.2, ended=time.perf_counter())
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
        recorder.finish(("GET", route, 200), 0.1)
    text = scrape(metrics)
    assert value(text, "http_requests_total", route="overflow") == 2
    assert value(text, "metrics_dropped_series_total", metric="http_requests_total") == 2


def test_a_request_is_in_progress_until_it_is_finished(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    recorder.begin("GET")
    recorder.begin("GET")
    recorder.finish(("GET", "home", 200), 0.1)
    assert value(scrape(metrics), "http_requests_in_progress", method="GET") == 1


def test_no_recording_is_lost_between_threads(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(500):
            recorder.begin("GET")
            recorder.finish(("GET", "home", 200), 1.0)
            metrics.inc_counter("orders_total", {"side": "buy"})

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result()
    text = scrape(metrics)
    assert value(text, "http_requests_total") == 4000
    assert value(text, "http_request_duration_seconds_sum") == 4000
    assert value(text, "http_requests_in_progress") == 0
    assert value(text, "orders_total") == 4000
