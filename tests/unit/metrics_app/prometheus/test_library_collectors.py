"""What libraries register and no file can hold is exposed by the process that is scraped."""

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, Enum, Gauge, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.library_values import library
from tests.exposition import samples, value


@pytest.fixture(autouse=True)
def _registry_as_before(metrics: PrometheusMetricsAdapter) -> Iterator[None]:
    before, find_store = set(REGISTRY._collector_to_names), library.find_store
    PrometheusMetricsAdapter.take_over_libraries(lambda: metrics)
    yield
    library.find_store = find_store
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


class Stock:
    def collect(self) -> Iterator[Metric]:
        kept = GaugeMetricFamily("stock", "Items in stock.", labels=["item"])
        kept.add_metric(["pen"], 4, timestamp=1000)
        yield kept
        yield CounterMetricFamily("sold", "Items sold.", value=7)


class Broken:
    def collect(self) -> Iterator[Metric]:
        raise ConnectionError("no database")


def test_collectors_infos_and_enums_are_exposed(metrics: PrometheusMetricsAdapter) -> None:
    REGISTRY.register(Stock())
    Info("build", "Build.").info({"revision": "a"})
    Enum("state", "State.", ["x"], states=["up", "down"]).labels("y").state("down")
    handler = metrics.get_http_handler()
    for accept in ("", "application/openmetrics-text;version=1.0.0"):
        text = handler(accept).decode()
        assert "sold_total 7.0" in text
        assert value(text, "build_info", revision="a") == 1
        assert value(text, "state", x="y", state="down") == 1
    assert 'stock{item="pen"} 4.0 1000' in text
    assert {"stock", "sold", "build", "state"} <= {
        family.name for family in text_string_to_metric_families(text)
    }


def test_a_gauge_that_calls_a_function_shows_what_it_gives(
    metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    depth = Gauge("depth", "Depth.", ["queue"])
    depth.labels("a").set_function(lambda: 5)
    metrics.get_http_handler()()
    assert list(samples(metrics.get_http_handler()())["depth"].values()) == [5]
    assert not caplog.text


def test_a_collector_that_raises_is_left_out_and_named_once(
    metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    REGISTRY.register(Stock())
    broken = Broken()
    REGISTRY._collector_to_names[broken] = []
    for _ in range(2):
        assert value(metrics.get_http_handler()(), "sold_total") == 7
    del REGISTRY._collector_to_names[broken]
    assert caplog.text.count("Broken is left out of scrapes: ConnectionError: no database") == 1


def test_the_runtime_of_processes_is_exposed_once(metrics: PrometheusMetricsAdapter) -> None:
    found = samples(metrics.get_http_handler()())
    assert len(found["python_info"]) == len(found["process_open_fds"]) == 1
    assert dict(next(iter(found["process_open_fds"]))) == {"worker": "0"}


def test_a_collectors_metric_with_the_name_of_one_of_ours_is_left_out(
    metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.inc_counter("sold_total", {})
    REGISTRY.register(Stock())
    assert list(samples(metrics.get_http_handler()())["sold_total"].values()) == [1]
    assert "'sold', which a library made with prometheus_client, is left out" in caplog.text
