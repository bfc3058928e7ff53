"""Exemplars of metrics that an application or a library records, over processes."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics_app import current
from metrics_app import metrics as declare
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.library_values import library
from metrics_app.adapters.prometheus.series_exemplars import RECORDS, stored_series_exemplars
from metrics_app.ports import MetricLabelsError
from tests.exposition import value

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def adapter(
    prometheus: PrometheusMetricsAdapter, declarations: None, monkeypatch: pytest.MonkeyPatch
) -> PrometheusMetricsAdapter:
    monkeypatch.setattr(current, "adapter", prometheus)
    return prometheus


def exemplars(adapter: PrometheusMetricsAdapter) -> dict[tuple[str, str], tuple[dict[str, str], float]]:
    """The labels and value of each exemplar, by sample and bound."""
    text = adapter.get_http_handler()(OPENMETRICS).decode()
    return {
        (sample.name, sample.labels.get("le", "")): (sample.exemplar.labels, sample.exemplar.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar is not None
    }


def test_an_exemplar_stands_at_the_series_and_bucket_to_which_it_was_recorded(
    adapter: PrometheusMetricsAdapter,
) -> None:
    orders = declare.counter("shop_orders_total", "Orders.", labels=("kind",))
    took = declare.histogram("shop_seconds", "Time.", buckets=(1, 2))
    orders.labels(kind='a "b"\n').inc(2, exemplar={"trace_id": "first"})
    orders.labels(kind='a "b"\n').inc(exemplar={"trace_id": 'x "y"'})
    took.observe(1.5, exemplar={"trace_id": "abc", "span_id": "d"})
    took.observe(0.5)
    assert exemplars(adapter) == {
        ("shop_orders_total", ""): ({"trace_id": 'x "y"'}, 1),
        ("shop_seconds_bucket", "2.0"): ({"trace_id": "abc", "span_id": "d"}, 1.5),
    }
    assert "trace_id" not in adapter.get_http_handler()().decode()


def test_exemplars_of_a_library_are_exposed(
    adapter: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "find_store", library.find_store)
    PrometheusMetricsAdapter.take_over_libraries(lambda: adapter)
    counter = Counter("library_orders", "Orders.", ["kind"], registry=None)
    histogram = Histogram("library_seconds", "Time.", buckets=[1, 2], registry=None)
    counter.labels("web").inc(3, exemplar={"trace_id": "abc"})
    histogram.observe(5, exemplar={"trace_id": "def"})
    assert exemplars(adapter) == {
        ("library_orders_total", ""): ({"trace_id": "abc"}, 3),
        ("library_seconds_bucket", "+Inf"): ({"trace_id": "def"}, 5),
    }


def test_the_newest_exemplar_of_all_slots_is_shown(
    adapter: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    orders = declare.counter("shop_orders_total", "Orders.")
    orders.inc(exemplar={"trace_id": "old"})
    other = PrometheusMetricsAdapter.configured(options)
    monkeypatch.setattr(current, "adapter", other)
    orders.inc(exemplar={"trace_id": "new"})
    assert exemplars(adapter) == {("shop_orders_total", ""): ({"trace_id": "new"}, 1)}
    other.close()


def test_many_series_need_no_more_space(adapter: PrometheusMetricsAdapter, options: Any) -> None:
    directory: Path = options.directory
    orders = declare.counter("shop_orders_total", "Orders.", labels=("kind",))
    for number in range(3 * RECORDS):
        orders.labels(kind=str(number)).inc(exemplar={"trace_id": "t" * 60})
        if number == 0:
            [file] = directory.glob("*.series-exemplars")
            size = file.stat().st_size
    assert file.stat().st_size == size
    assert 0 < len(stored_series_exemplars(directory)["shop_orders"]) <= RECORDS
    file.write_bytes(file.read_bytes()[:-700] + b"?" * 700)
    assert stored_series_exemplars(directory)


@pytest.mark.parametrize("exemplar", [{"trace-id": "x"}, {"trace_id": "x" * 121}])
def test_an_exemplar_that_openmetrics_cannot_hold_is_refused_and_the_value_counted(
    adapter: PrometheusMetricsAdapter, exemplar: dict[str, str]
) -> None:
    orders = declare.counter("shop_orders_total", "Orders.")
    with pytest.raises(MetricLabelsError, match="cannot be an exemplar of 'shop_orders_total'"):
        orders.inc(exemplar=exemplar)
    assert value(adapter.get_http_handler()(), "shop_orders_total") == 1
    assert exemplars(adapter) == {}
