"""What arrives at a receiver, decoded from the real protobuf."""

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from metrics_app import current
from metrics_app import metrics as declared
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.ports import GaugeSample, MetricsLabels, MetricsOptions
from scenarios.published.metrics import RUN_BUCKETS
from tests.otlp_receiver import Receiver, find_number, strings

RUN = {"scenario": "outage", "outcome": "passed"}
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def test_a_counter_is_a_sum_that_only_grows(pushing: OpenTelemetryMetricsAdapter, receiver: Receiver) -> None:
    for total in (1, 2):
        pushing.inc_counter("scenario_runs_total", RUN)
        assert pushing.push_now(300)
        counter = receiver.pushes[-1].metrics["scenario_runs_total"]
        [point] = counter.sum.data_points
        assert (counter.sum.is_monotonic, counter.sum.aggregation_temporality) == (True, CUMULATIVE)
        assert (strings(point.attributes), find_number(point)) == (RUN, total)


@pytest.mark.usefixtures("declarations")
def test_names_with_dots_stay_as_they_were_declared(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "adapter", pushing)
    declared.counter("shop.orders", "Orders placed.", labels=("cart.kind",)).labels("gift").inc(2)
    declared.histogram("shop.wait", "Wait.").observe(3)
    assert pushing.push_now(300)
    metrics = receiver.pushes[-1].metrics
    [point] = metrics["shop.orders"].sum.data_points
    assert (strings(point.attributes), find_number(point)) == ({"cart.kind": "gift"}, 2)
    assert metrics["shop.wait"].histogram.data_points[0].sum == 3


def test_a_histogram_has_the_boundaries_of_the_catalogue(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    for seconds in (0.1, 0.2, 100_000):
        pushing.observe_histogram("scenario_run_duration_seconds", seconds, RUN)
    assert pushing.push_now(300)
    metric = receiver.pushes[-1].metrics["scenario_run_duration_seconds"]
    [point] = metric.histogram.data_points
    assert metric.unit == "s"
    assert tuple(point.explicit_bounds) == RUN_BUCKETS
    assert list(point.bucket_counts) == [1, 1, *[0] * (len(RUN_BUCKETS) - 2), 1]
    assert (point.count, point.sum) == (3, pytest.approx(100_000.3))


def test_gauges_that_add_up_over_processes_are_pushed_as_sums(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    pushing.request_recorder().begin("GET")
    pushing.set_gauge("scenario_runs", 3, {"state": "queued"})
    assert pushing.push_now(300)
    metrics = receiver.pushes[-1].metrics
    in_progress = metrics["http_requests_in_progress"].sum
    assert (in_progress.is_monotonic, find_number(in_progress.data_points[0])) == (False, 1)
    assert find_number(metrics["scenario_runs"].gauge.data_points[0]) == 3


def test_constant_labels_are_resource_attributes_besides_those_of_the_environment(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test")
    pushing.inc_counter("orders_total", {})
    assert pushing.push_now(300)
    resource = receiver.pushes[-1].resource
    assert (resource["service.name"], resource["service.version"]) == ("shop", "2.0")
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"].startswith("shop-1.")


def test_a_gauge_read_at_the_push_is_gone_when_it_is_not_read_any_more(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    found = [GaugeSample("scenario_runs", {"state": "queued"}, 7)]
    pushing.register_scrape_gauges(lambda: found)
    pushing.inc_counter("orders_total", {})
    assert pushing.push_now(300)
    assert find_number(receiver.pushes[-1].metrics["scenario_runs"].gauge.data_points[0]) == 7
    found.clear()
    assert pushing.push_now(300)
    assert "scenario_runs" not in receiver.pushes[-1].metrics


def test_it_pushes_by_itself_at_the_interval_of_the_environment(
    receiver: Receiver, options: MetricsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    adapter = OpenTelemetryMetricsAdapter.configured(options)
    adapter.inc_counter("orders_total", {})
    receiver.wait_for(pushes=2)
    adapter.close()


def test_last_recordings_are_pushed_at_closing(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metrics_app.adapters.opentelemetry.adapter.LAST_PUSH_SECONDS", 300.0)
    pushing.inc_counter("orders_total", {})
    pushing.observe_histogram("scenario_run_duration_seconds", 1, RUN)
    pushing.close()
    assert {"orders_total", "scenario_run_duration_seconds"} <= set(receiver.pushes[-1].metrics)


@pytest.fixture
def _standard_variables(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{receiver.endpoint}/here")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA")


@pytest.mark.usefixtures("_standard_variables")
def test_the_standard_variables_hold(options: MetricsOptions, receiver: Receiver) -> None:
    adapter = OpenTelemetryMetricsAdapter.configured(options)
    for increments in (1, 2):
        for _ in range(increments):
            adapter.inc_counter("orders_total", {})
        assert adapter.push_now(300)
        push = receiver.pushes[-1]
        assert find_number(push.metrics["orders_total"].sum.data_points[0]) == increments
        assert (push.headers[":path"], push.headers["authorization"]) == ("/here", "Bearer secret")
        assert push.headers["content-encoding"] == "gzip"
    adapter.close()


def test_the_limit_of_label_sets_may_be_higher_than_the_one_of_the_sdk(receiver: Receiver) -> None:
    adapter = OpenTelemetryMetricsAdapter(MetricsLabels(service="shop"), max_label_sets=2500)
    for number in range(2600):
        adapter.inc_counter("orders_total", {"side": str(number)})
    assert adapter.push_now(30)
    points = receiver.pushes[-1].metrics["orders_total"].sum.data_points
    values = {strings(point.attributes).get("side"): find_number(point) for point in points}
    assert len(values) == 2501
    assert values["overflow"] == 100
    adapter.close()


def test_label_value_that_is_not_text_does_not_stop_the_push(
    pushing: OpenTelemetryMetricsAdapter, receiver: Receiver
) -> None:
    pushing.register_scrape_gauges(lambda: [GaugeSample("scenario_runs", {"state": "\udcff"}, 1)])
    assert pushing.push_now(300)
    [point] = receiver.pushes[-1].metrics["scenario_runs"].gauge.data_points
    assert strings(point.attributes) == {"state": "?"}
