"""Labels and texts of libraries that cannot be written as they are spoil no scrape, and lose nothing."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.core import GaugeMetricFamily

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.library_values import library
from tests.exposition import samples

HALF = "\ud800"
"""Half of a character, as in a path or header that is not UTF-8."""
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.9"


@pytest.fixture
def metrics(directory: Path) -> Iterator[PrometheusMetricsAdapter]:
    adapter = PrometheusMetricsAdapter({"service": "shop"}, directory=directory, native_histograms=True)
    stores_before = library.find_store
    PrometheusMetricsAdapter.take_over_libraries(lambda: adapter)
    yield adapter
    adapter.close()
    library.find_store = stores_before


def scrape(metrics: PrometheusMetricsAdapter, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return samples(metrics.get_http_handler()())[name]


def test_a_label_with_the_name_of_a_constant_one_is_renamed_as_prometheus_does_it(
    metrics: PrometheusMetricsAdapter,
) -> None:
    sent = Counter("sent", "Mails sent.", ["service"], registry=CollectorRegistry())
    sent.labels("mail").inc()
    sent.labels("chat").inc(2)
    found = {
        dict(labels)["exported_service"]: value for labels, value in scrape(metrics, "sent_total").items()
    }
    assert found == {"mail": 1, "chat": 2}
    assert {dict(labels)["service"] for labels in scrape(metrics, "sent_total")} == {"shop"}
    text = metrics.get_http_handler()(PROTOBUF)
    assert text.count(b"exported_service") == 2


def test_a_label_named_pid_is_kept_with_that_of_the_process(metrics: PrometheusMetricsAdapter) -> None:
    children = Gauge("children", "Help.", ["pid"], multiprocess_mode="all", registry=CollectorRegistry())
    children.labels("71").set(1)
    children.labels("72").set(2)
    found = {dict(labels)["exported_pid"]: value for labels, value in scrape(metrics, "children").items()}
    assert found == {"71": 1, "72": 2}


class HalfCollector:
    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("half_read", f"Half {HALF}.", labels=["path"])
        family.add_metric([HALF], 1)
        yield family


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0", PROTOBUF])
def test_half_a_character_is_a_question_mark_and_spoils_no_scrape(
    metrics: PrometheusMetricsAdapter, accept: str
) -> None:
    collector = HalfCollector()
    REGISTRY.register(collector)
    counter = Counter("half", f"Half {HALF}.", ["path"], registry=CollectorRegistry())
    counter.labels(f"/{HALF}").inc(exemplar={"trace_id": HALF})
    try:
        text = metrics.get_http_handler()(accept)
    finally:
        REGISTRY.unregister(collector)
    assert b"/?" in text
    assert b"half_read" in text
