"""With the setting CREATED, OpenMetrics says when each counter and histogram began to count."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from tests.exposition import samples
from tests.other_process import OtherProcess

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TEXT = "text/plain;version=0.0.4"


@pytest.fixture
def metrics(directory: Path) -> Iterator[PrometheusMetricsAdapter]:
    adapter = PrometheusMetricsAdapter({"service": "shop"}, directory=directory, created=True)
    yield adapter
    adapter.close()


def created(metrics: PrometheusMetricsAdapter) -> dict[str, float]:
    """The moments by the name of the sample and the side, read by prometheus_client's parser."""
    text = metrics.get_http_handler()(OPENMETRICS).decode()
    return {
        f"{sample.name} {sample.labels.get('side', '')}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.endswith("_created")
    }


def record(metrics: PrometheusMetricsAdapter, side: str) -> None:
    metrics.inc_counter("orders_total", {"side": side})
    metrics.observe_histogram("took_seconds", 0.2, {"side": side})


def test_each_series_says_when_it_was_recorded_first(metrics: PrometheusMetricsAdapter) -> None:
    before = time.time()
    record(metrics, "buy")
    between = time.time()
    record(metrics, "sell")
    record(metrics, "buy")
    found = created(metrics)
    for name in ("orders_created", "took_seconds_created"):
        assert before <= found[f"{name} buy"] <= between <= found[f"{name} sell"] <= time.time()
    assert not [name for name in found if name.startswith("metrics_scrape_duration")], "gauges have none"


def test_it_is_the_moment_of_the_first_process(metrics: PrometheusMetricsAdapter, directory: Path) -> None:
    metrics.inc_counter("sales_total", {"side": "buy"})
    first = created(metrics)["sales_created buy"]
    with OtherProcess(directory) as other:
        other.run("metrics._files.notes_creations = True")
        other.run("[metrics.inc_counter('sales_total', {'side': side}) for side in ('buy', 'sell')]")
        assert created(metrics)["sales_created buy"] == first
        assert created(metrics)["sales_created sell"] > first
    assert created(metrics)["sales_created buy"] == first


def test_a_removed_series_has_none_and_begins_again(metrics: PrometheusMetricsAdapter) -> None:
    record(metrics, "buy")
    record(metrics, "sell")
    first = created(metrics)
    removed_after = time.time()
    metrics.remove("orders_total", {"side": "buy"})
    found = created(metrics)
    assert "orders_created buy" not in found
    assert found["orders_created sell"] == first["orders_created sell"]
    record(metrics, "buy")
    assert removed_after <= created(metrics)["orders_created buy"] <= time.time()


def test_other_formats_have_none(metrics: PrometheusMetricsAdapter) -> None:
    record(metrics, "buy")
    created(metrics)
    assert "_created" not in metrics.get_http_handler()(TEXT).decode()


def test_exemplars_and_values_stay_where_they_were(metrics: PrometheusMetricsAdapter) -> None:
    for side in ("buy", "sell"):
        record(metrics, side)
        metrics.note_exemplar("orders_total", {"side": side}, 1.0, {"trace_id": side})
    text = metrics.get_http_handler()(OPENMETRICS).decode()
    [orders] = [f for f in text_string_to_metric_families(text) if f.name == "orders"]
    by_side = {s.labels["side"]: s for s in orders.samples if s.name == "orders_total"}
    assert {side: (s.value, s.exemplar.labels) for side, s in by_side.items() if s.exemplar} == {
        side: (1.0, {"trace_id": side}) for side in ("buy", "sell")
    }


def test_without_the_setting_nothing_of_it_is_kept_or_exposed(directory: Path) -> None:
    metrics = PrometheusMetricsAdapter(directory=directory)
    record(metrics, "buy")
    assert created(metrics) == {}
    assert "gauge_min_slot-0.db" not in {path.name for path in directory.iterdir()}
    metrics.close()


def test_created_samples_of_another_process_are_not_shown_without_the_setting(
    metrics: PrometheusMetricsAdapter, directory: Path
) -> None:
    record(metrics, "buy")
    other = PrometheusMetricsAdapter(directory=directory)
    text = other.get_http_handler()(TEXT).decode()
    assert not [name for name in samples(text) if name.endswith("_created")]
    other.close()
