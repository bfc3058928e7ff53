"""Where the metrics go is said by the standard variables, and by /metrics."""

import pytest

from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.adapters.opentelemetry.environment import push_settings
from metrics_app.ports import AdapterSettingsError, InvalidMetricNameError, MetricsOptions
from tests.exposition import samples
from tests.otlp_receiver import Receiver

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
WHOLE = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (BASE, WHOLE, "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, "http://localhost:4318/v1/metrics"),
        ({BASE: "https://collector:4318/"}, "https://collector:4318/v1/metrics"),
        ({BASE: "http://collector/otlp"}, "http://collector/otlp/v1/metrics"),
        ({BASE: "http://collector", WHOLE: "http://other/as-it-is"}, "http://other/as-it-is"),
        ({BASE: "http://collector", WHOLE: ""}, "http://collector/v1/metrics"),
    ],
)
def test_the_endpoint_is_the_one_of_the_specification(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert push_settings().endpoint == endpoint
    assert push_settings().interval == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (BASE, "collector:4318"),
        (BASE, "http://"),
        (BASE, "http://collector:port"),
        (WHOLE, "ftp://collector/v1/metrics"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(AdapterSettingsError, match=f"{name}='{value}' is"):
        push_settings()


def test_a_scrape_shows_where_metrics_are_pushed_without_the_password(
    monkeypatch: pytest.MonkeyPatch, options: MetricsOptions
) -> None:
    monkeypatch.setenv(WHOLE, "https://user:secret@collector:4318/v1/metrics?key=secret")
    handler = OpenTelemetryMetricsAdapter.configured(options).get_http_handler()
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        text = handler(accept).decode()
        assert text.startswith(
            "# Metrics are pushed by OTLP to https://collector:4318/v1/metrics, every 60 s"
        )
        assert samples(text) == {}
        assert handler.content_type(accept).startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("name", ["Orders_total", "recorded:orders", "_orders", "o" * 256])
def test_a_name_that_would_arrive_as_another_is_refused(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, name: str
) -> None:
    with pytest.raises(InvalidMetricNameError, match="OpenTelemetry"):
        pushing.inc_counter(name, {})
    pushing.inc_counter("orders_total", {})
    assert pushing.push_now(300)
    assert [found for found in receiver.pushes[-1].metrics if "orders" in found] == ["orders_total"]


def test_a_scrape_shows_that_nothing_is_pushed(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, options: MetricsOptions
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    adapter = OpenTelemetryMetricsAdapter.configured(options)
    adapter.inc_counter("orders_total", {})
    adapter.close()
    assert b"pushed nowhere" in adapter.get_http_handler()()
    assert receiver.pushes == []
