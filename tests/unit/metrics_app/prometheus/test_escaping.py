"""Whatever a label's value is, both formats can be read again, by parsers that are not ours."""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Counter, Metric, validation
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from metrics_app import metrics as declared
from metrics_app.adapters.names import escape_label_name, escape_metric_name
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.library_values import library
from metrics_app.adapters.prometheus.written_names import _can_escape
from metrics_app.ports import InvalidMetricNameError
from tests.exposition import samples, value

FORMATS: dict[str, Callable[[str], Iterable[Metric]]] = {
    "": text_families,
    "application/openmetrics-text;version=1.0.0": openmetrics_families,
}
# Halves of surrogate pairs too: so Python reads bytes that are no UTF-8.
anything = st.text(st.characters() | st.sampled_from('"\\\n{},= \ud800\udcff'), max_size=20)


@given(st.sets(anything, min_size=1, max_size=5))
@settings(deadline=None)
def test_every_label_value_is_read_as_it_was_recorded(sides: set[str]) -> None:
    written = {side.encode(errors="replace").decode() for side in sides}
    with TemporaryDirectory() as directory:
        metrics = PrometheusMetricsAdapter(directory=Path(directory))
        for side in sides:
            metrics.inc_counter("orders_total", {"side": side})
        for accept, families in FORMATS.items():
            text = metrics.get_http_handler()(accept).decode()
            samples = [sample for family in families(text) for sample in family.samples]
            assert {s.labels["side"] for s in samples if s.name == "orders_total"} == written
        metrics.close()


@pytest.mark.parametrize(
    ("accept", "sample"),
    [
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
            '{"größe.m_total","a.b"="x"} 2.0',
        ),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", '{"größe.m_total","a.b"="x"} 2.0'),
        ("application/openmetrics-text;version=1.0.0", 'gr__e_m_total{a_b="x"} 2.0'),
        ("text/plain;version=0.0.4", 'gr__e_m_total{a_b="x"} 2.0'),
    ],
)
def test_names_of_libraries_are_escaped_as_the_scraper_asks(
    prometheus: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch, accept: str, sample: str
) -> None:
    monkeypatch.setattr(library, "find_store", library.find_store)
    PrometheusMetricsAdapter.take_over_libraries(lambda: prometheus)
    Counter("größe.m", "Sizes.", ["a.b"], registry=None).labels("x").inc(2)
    handler = prometheus.get_http_handler()
    lines = (
        handler(accept).decode().replace(',instance="shop-1",service="shop",version="2.0"', "").splitlines()
    )
    assert sample in lines
    assert ("escaping=allow-utf-8" in handler.content_type(accept)) == ("allow-utf-8" in accept)


@pytest.mark.parametrize(
    ("accept", "sample"),
    [
        ("text/plain;version=1.0.0;escaping=allow-utf-8", '{"größe.m_total","a.b"="x"} 2.0'),
        ("text/plain;version=0.0.4", 'gr__e_m_total{a_b="x"} 2.0'),
    ],
)
def test_names_of_own_metrics_are_escaped_as_the_scraper_asks(
    own: PrometheusMetricsAdapter, accept: str, sample: str
) -> None:
    declared.counter("größe.m", "Sizes.", ["a.b"]).labels("x").inc(2)
    assert sample in own.get_http_handler()(accept).decode().splitlines()


@given(anything)
def test_names_are_escaped_as_prometheus_client_does(name: str) -> None:
    assert escape_metric_name(name) == openmetrics.escape_metric_name(name)
    assert escape_label_name(name) == openmetrics.escape_label_name(name)


@pytest.fixture
def _legacy_names() -> Iterator[None]:
    validation.enable_legacy_validation()
    _can_escape.cache_clear()
    yield
    validation.disable_legacy_validation()
    _can_escape.cache_clear()


@pytest.mark.usefixtures("_legacy_names")
def test_names_that_prometheus_client_cannot_write_fail_no_scrape(own: PrometheusMetricsAdapter) -> None:
    depth, orders = declared.gauge("shop.depth", "Depth."), declared.counter("shop.orders", "Orders.")
    with pytest.raises(InvalidMetricNameError, match="prometheus_client"):
        orders.inc()
    own.register_scrape_gauges(lambda: [depth.sample(4)])
    declared.counter("mails", "Mails.").inc()
    own.get_http_handler()()
    text = own.get_http_handler()()
    assert value(text, "mails_total") == 1
    assert value(text, "metrics_scrape_gauges_failures_total") >= 1
    assert not [name for name in samples(text) if "shop" in name]


@pytest.mark.prometheus
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_no_fault_in_the_whole_exposition(metrics: PrometheusMetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    for code in (200, 500):
        recorder.begin("GET")
        recorder.finish(("GET", "home", code), 0.2, "1" * 32)
    metrics.set_gauge("scenario_runs", 1, {"state": "queued"})
    metrics.inc_counter("metrics_dropped_series_total", {"metric": 'a "quoted" \n one'})
    metrics.get_http_handler()()
    promtool = subprocess.run(
        ["promtool", "check", "metrics"],
        input=metrics.get_http_handler()(),
        capture_output=True,
        check=False,
    )
    assert (promtool.returncode, promtool.stdout, promtool.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("accept", "promised"),
    [
        ("application/openmetrics-text;version=2.0.0", "text/plain; version=0.0.4"),
        (
            "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.9",
            "application/openmetrics-text; version=1.0.0",
        ),
        ("application/openmetrics-text;version=9.9.9;q=0.9,text/plain;q=0.1", "text/plain; version=0.0.4"),
    ],
)
def test_no_version_is_promised_that_is_not_written(
    metrics: PrometheusMetricsAdapter, accept: str, promised: str
) -> None:
    assert metrics.get_http_handler().content_type(accept).startswith(promised)
