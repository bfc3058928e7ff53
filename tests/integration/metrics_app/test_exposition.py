"""`/metrics` answers who may ask, in the form that was asked for."""

import gzip
from pathlib import Path

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families

from metrics_app.backend import get_metrics
from metrics_app.ports import GaugeSample, MetricsPort
from tests.exposition import value
from tests.metrics_settings import override_metrics

PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"


def test_text_is_answered_to_who_asks_for_nothing(client: Client, metrics: MetricsPort) -> None:
    metrics.inc_counter("orders_total", {})
    response = client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert value(response.content, "orders_total") == 1


def test_head_answers_without_content_and_writing_is_not_allowed(client: Client) -> None:
    response = client.head("/metrics")
    assert (response.status_code, response.content) == (200, b"")
    assert client.post("/metrics").status_code == 405


def test_openmetrics_is_answered_to_who_accepts_it(client: Client) -> None:
    with override_metrics(BACKEND=PROMETHEUS):
        get_metrics().inc_counter("orders_total", {})
        recorder = get_metrics().request_recorder()
        recorder.begin("GET")
        recorder.finish(("GET", "home", 500), 0.1)
        response = client.get("/metrics", headers={"Accept": OPENMETRICS})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in openmetrics_families(response.content.decode())}
    assert {"orders", "http_requests", "http_request_duration_seconds", "process_cpu_seconds"} <= families


def test_no_two_metrics_have_one_name_in_either_format(client: Client) -> None:
    with override_metrics(BACKEND=PROMETHEUS):
        get_metrics().inc_counter("scenario_runs_total", {"scenario": "latency", "outcome": "passed"})
        get_metrics().register_scrape_gauges(lambda: [GaugeSample("scenario_runs", {"state": "queued"}, 3)])
        openmetrics = client.get("/metrics", headers={"Accept": OPENMETRICS}).content.decode()
        text = client.get("/metrics").content.decode()
    types = {family.name: family.type for family in openmetrics_families(openmetrics)}
    assert (types["scenario_runs"], types["scenario_runs_total"]) == ("gauge", "unknown")
    assert "\n# TYPE scenario_runs_total counter\n" in text
    assert value(text, "scenario_runs_total") == value(openmetrics, "scenario_runs_total") == 1


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("text/plain;version=0.0.4;q=0.6, application/openmetrics-text;version=1.0.0;q=0.3", "text/plain"),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.2", "application/openmetrics-text"),
        ("application/openmetrics-text; version=1.0.0; q=0", "text/plain"),
        ("text/html, Application/OpenMetrics-Text;q=0.9, */*;q=0.1", "application/openmetrics-text"),
        ("application/openmetrics-text;q=high", "application/openmetrics-text"),
    ],
)
def test_the_format_that_is_liked_best_is_answered(client: Client, accept: str, answered: str) -> None:
    with override_metrics(BACKEND=PROMETHEUS):
        response = client.get("/metrics", headers={"Accept": accept})
    assert response.headers["Content-Type"].partition(";")[0] == answered


@pytest.mark.parametrize(("flags", "named"), [("01", True), ("00", False), ("zz", False)])
def test_a_request_of_a_trace_is_named_by_its_bucket(client: Client, flags: str, named: bool) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with override_metrics(BACKEND=PROMETHEUS):
        client.get("/", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-{flags}"})
        text = client.get("/metrics", headers={"Accept": OPENMETRICS}).content.decode()
    assert (f'# {{trace_id="{trace}"}}' in text) is named
    assert list(openmetrics_families(text))


@pytest.mark.parametrize(
    "accept", ["text/plain;version=new", "application/openmetrics-text;version=x", "*/*", ";"]
)
def test_an_accept_header_that_makes_no_sense_gets_text(client: Client, accept: str) -> None:
    with override_metrics(BACKEND=PROMETHEUS):
        response = client.get("/metrics", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
    ],
)
def test_it_is_compressed_when_asked_for(
    client: Client, metrics: MetricsPort, accepted: str, compressed: bool
) -> None:
    metrics.inc_counter("orders_total", {})
    response = client.get("/metrics", headers={"Accept-Encoding": accepted})
    assert (response.headers.get("Content-Encoding") == "gzip") is compressed
    text = gzip.decompress(response.content) if compressed else response.content
    assert value(text, "orders_total") == 1
    assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer ", "Basic right", "right", "Bearer rïght"])
def test_a_wrong_token_gets_401_and_nothing_else(client: Client, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    with override_metrics(TOKEN="right"):
        response = client.get("/metrics", headers=headers)
    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["Bearer right", "bearer right"])
def test_the_right_token_gets_the_exposition(client: Client, metrics: MetricsPort, given: str) -> None:
    metrics.inc_counter("orders_total", {})
    with override_metrics(TOKEN="right"):
        response = client.get("/metrics", headers={"Authorization": given})
    assert value(response.content, "orders_total") == 1


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("fd00::1", 200),
        ("11.0.0.1", 403),
        ("fe80::1", 403),
        ("", 403),
    ],
)
def test_only_allowed_networks_get_the_exposition(client: Client, address: str, code: int) -> None:
    with override_metrics(ALLOWED_NETWORKS=("10.0.0.0/8", "fd00::/8")):
        forwarded = {"X-Forwarded-For": "10.1.2.3"}
        response = client.get("/metrics", REMOTE_ADDR=address, headers=forwarded)
    assert response.status_code == code
    assert (code == 200) or response.content == b""


def test_the_adapter_that_the_settings_name_answers(client: Client, tmp_path: Path) -> None:
    labels = {"service": "shop", "instance": "shop-1", "version": "2.0"}
    with override_metrics(BACKEND=PROMETHEUS, DIRECTORY=tmp_path, CONSTANT_LABELS=labels):
        client.get("/shop/item/201")
        text = client.get("/metrics").content
    assert value(text, "http_requests_total", **labels, route="shop:item", code="201") == 1
    assert list(tmp_path.glob("*.db"))
