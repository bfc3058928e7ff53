"""What processes disagree about makes no scrape fail, and no text that cannot be parsed."""

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics_app.adapters.names import RUNTIME
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.runtime import COLUMNS
from metrics_app.ports import GaugeSample
from tests.exposition import samples, value
from tests.other_process import OtherProcess

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def families(metrics: PrometheusMetricsAdapter) -> set[str]:
    text = metrics.get_http_handler()(OPENMETRICS).decode()
    return {family.name for family in text_string_to_metric_families(text)}


@pytest.mark.parametrize(
    "elsewhere",
    [
        "metrics.set_gauge('queue_count', 5, {})",
        "metrics.set_gauge('queue', 5, {})",
        "metrics.inc_counter('queue_total', {})",
        "metrics.inc_counter('queue_sum_total', {}); metrics.set_gauge('queue_bucket', 5, {'x': 'y'})",
    ],
)
def test_two_processes_that_disagree_about_a_name_are_both_scraped(
    directory: Path, metrics: PrometheusMetricsAdapter, elsewhere: str
) -> None:
    metrics.observe_histogram("queue", 1, {})
    with OtherProcess(directory) as other:
        other.run(elsewhere)
        assert {"orders", "metrics_clashing_metrics"} <= families(metrics)
        text = metrics.get_http_handler()()
        assert value(text, "orders_total") == 1
        assert value(text, "metrics_clashing_metrics") >= 1


def test_a_gauge_read_at_the_scrape_gives_way_to_what_another_process_records(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.register_scrape_gauges(lambda: [GaugeSample("queue_count", {}, 7), GaugeSample("other", {}, 3)])
    with OtherProcess(directory) as other:
        other.run("metrics.observe_histogram('queue', 1, {})")
        text = metrics.get_http_handler()()
    assert list(samples(text)["queue_count"].values()) == [1]
    assert value(text, "other") == 3
    assert {"queue", "other"} <= families(metrics)


def test_the_names_that_are_kept_free_are_those_of_the_runtime() -> None:
    exposed = {column.name + "_total" * (column.type == "counter"): column.type for column in COLUMNS}
    assert exposed == RUNTIME
