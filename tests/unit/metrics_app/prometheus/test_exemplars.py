"""In OpenMetrics the buckets of the request histogram name a trace that can be looked at."""

import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.exemplars import FILE_SIZE, RECORD_SIZE
from tests.other_process import OtherProcess

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FIRST, SECOND, THIRD = "1" * 32, "2" * 32, "3" * 32


def exemplars(metrics: PrometheusMetricsAdapter) -> dict[tuple[str, str], Exemplar]:
    """By route and bound."""
    text = metrics.get_http_handler()(OPENMETRICS).decode()
    return {
        (sample.labels["route"], sample.labels["le"]): sample.exemplar
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar is not None
    }


def record(metrics: PrometheusMetricsAdapter, route: str, seconds: float, trace_id: str = "") -> None:
    recorder = metrics.request_recorder()
    recorder.begin("GET")
    recorder.finish(("GET", route, 200), seconds, trace_id)


def test_each_bucket_names_the_newest_trace_that_fell_into_it(metrics: PrometheusMetricsAdapter) -> None:
    record(metrics, "home", 0.003, FIRST)
    record(metrics, "home", 0.004, SECOND)
    record(metrics, "home", 99.0, THIRD)
    record(metrics, "home", 0.2)
    found = exemplars(metrics)
    assert {place: exemplar.labels["trace_id"] for place, exemplar in found.items()} == {
        ("home", "0.005"): SECOND,
        ("home", "+Inf"): THIRD,
    }
    assert found["home", "0.005"].value == 0.004


def test_the_newest_trace_is_the_last_one_although_the_clock_was_set_back(
    metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(metrics, "home", 0.003, FIRST)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    record(metrics, "home", 0.004, SECOND)
    assert exemplars(metrics)["home", "0.005"].labels["trace_id"] == SECOND


def test_a_trace_stands_at_the_series_that_it_belongs_to(metrics: PrometheusMetricsAdapter) -> None:
    record(metrics, "home", 0.003, FIRST)
    record(metrics, 'odd "\\ route', 0.003, SECOND)
    assert exemplars(metrics).keys() == {('odd "\\ route', "0.005")}


def test_exemplars_of_all_processes_are_exposed_also_of_ended_ones(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    record(metrics, "home", 0.003, FIRST)
    finish = "metrics.request_recorder().finish(('GET', {}, 200), {}, {!r})"
    with OtherProcess(directory) as other:
        other.run(finish.format("'home'", 0.004, SECOND))
        other.run(finish.format("'shop'", 0.2, THIRD))
    found = {place: exemplar.labels["trace_id"] for place, exemplar in exemplars(metrics).items()}
    assert found == {("home", "0.005"): SECOND, ("shop", "0.25"): THIRD}
    assert {path.stat().st_size for path in directory.glob("slot-*.exemplars")} == {FILE_SIZE}


def test_the_text_format_has_no_exemplars(metrics: PrometheusMetricsAdapter) -> None:
    record(metrics, "home", 0.003, FIRST)
    assert FIRST.encode() not in metrics.get_http_handler()()


def test_requests_beyond_the_limit_of_label_sets_leave_no_trace(directory: Path) -> None:
    metrics = PrometheusMetricsAdapter(directory=directory, max_label_sets=1)
    record(metrics, "home", 0.003, FIRST)
    record(metrics, "shop", 0.003, SECOND)
    assert {exemplar.labels["trace_id"] for exemplar in exemplars(metrics).values()} == {FIRST}
    metrics.close()


@pytest.mark.parametrize("damage", [b"", b"x" * 100, b"\0" * FILE_SIZE, b"x" * FILE_SIZE])
def test_a_file_that_is_damaged_has_no_exemplars(
    directory: Path, metrics: PrometheusMetricsAdapter, damage: bytes
) -> None:
    record(metrics, "home", 0.003)
    (directory / "slot-7.exemplars").write_bytes(damage)
    assert exemplars(metrics) == {}


def test_a_record_that_is_being_written_is_left_out(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    record(metrics, "home", 0.003, FIRST)
    record(metrics, "home", 0.007, SECOND)
    path = directory / "slot-0.exemplars"
    content = bytearray(path.read_bytes())
    content[RECORD_SIZE - 300] ^= 1
    path.write_bytes(content)
    assert exemplars(metrics).keys() == {("home", "0.01")}


def test_a_route_that_is_too_long_for_a_record_leaves_no_trace(metrics: PrometheusMetricsAdapter) -> None:
    record(metrics, "r" * RECORD_SIZE, 0.003, FIRST)
    assert exemplars(metrics) == {}
