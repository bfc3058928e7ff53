"""Declarations of metrics: the same twice, contradictory, or wrong, with every adapter."""

import math
from typing import Any

import pytest

from metrics_app import metrics as declared
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.ports import (
    InvalidMetricNameError,
    MetricDeclarationError,
    MetricKindError,
    MetricLabelsError,
    MetricsAdapter,
    MetricsError,
)
from tests.exposition import value

pytestmark = pytest.mark.usefixtures("own")


def scrape(metrics: MetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def test_the_same_declaration_is_the_same_instrument() -> None:
    first = declared.counter("shop_orders", "Orders placed.", labels=("channel",))
    assert declared.counter("shop_orders_total", "Orders placed.", ["channel"]) is first


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("type", lambda: declared.gauge("wait_seconds", "Wait.", ("queue",))),
        ("help", lambda: declared.histogram("wait_seconds", "Waits.", ("queue",), (1, 2))),
        ("labels", lambda: declared.histogram("wait_seconds", "Wait.", ("queues",), (1, 2))),
        ("buckets", lambda: declared.histogram("wait_seconds", "Wait.", ("queue",), (1, 3))),
    ],
)
def test_another_declaration_of_the_same_name_names_both_places(field: str, make: Any) -> None:
    declared.histogram("wait_seconds", "Wait.", ("queue",), (1, 2))
    with pytest.raises(
        MetricDeclarationError, match=rf"the {field} .*test_metric_declarations\.py:\d+.*\.py:\d+"
    ):
        make()


@pytest.mark.parametrize(
    ("match", "make"),
    [
        (r"'a\\nb' is not a metric name", lambda: declared.counter("a\nb", "Help.")),
        ("' a' is not a metric name", lambda: declared.gauge(" a", "Help.")),
        ("'_total' is not a metric name", lambda: declared.counter("_total", "Help.")),
        (r"'\\ud800' is not a metric name", lambda: declared.gauge("\ud800", "Help.")),
        ("5 is not a metric name", lambda: declared.counter(5, "Help.")),  # type: ignore[arg-type]
        ("say what it measures", lambda: declared.counter("a", "")),
        (r"\('channel',\)", lambda: declared.counter("a", "Help.", "channel")),
        ("'le' cannot be a label", lambda: declared.counter("a", "Help.", ("le",))),
        ("'' cannot be a label", lambda: declared.counter("a", "Help.", ("",))),
        ("'_.a' cannot be a label", lambda: declared.counter("a", "Help.", ("_.a",))),
        ("two of which are the same", lambda: declared.counter("a", "Help.", ("a.b", "a-b"))),
        ("each label once", lambda: declared.counter("a", "Help.", ("x", "x"))),
        ("'largest'; choose one of 'last'", lambda: declared.gauge("a", "Help.", merge="largest")),
        ("ascending", lambda: declared.histogram("a", "Help.", buckets=(2, 1))),
        ("ascending", lambda: declared.histogram("a", "Help.", buckets=())),
        ("ascending", lambda: declared.histogram("a", "Help.", buckets=(1, math.nan))),
        ("ascending", lambda: declared.histogram("a", "Help.", buckets=("1",))),  # type: ignore[arg-type]
        ("of this package", lambda: declared.counter("http_requests_total", "Help.")),
        ("adapter itself", lambda: declared.gauge("process_threads", "Help.")),
        ("exposed as", lambda: declared.gauge("http_request_duration_seconds_count", "Help.")),
        ("exposed as", lambda: declared.gauge("http.requests", "Help.")),
    ],
)
def test_wrong_declarations_are_refused(match: str, make: Any) -> None:
    with pytest.raises(MetricsError, match=match):
        make()


def test_infinity_may_end_the_buckets() -> None:
    made = declared.histogram("wait_seconds", "Wait.", buckets=(1, 2.5, math.inf))
    assert made.definition.buckets == (1.0, 2.5)


def test_names_may_have_dots_and_letters_of_any_language(own: MetricsAdapter) -> None:
    requests = declared.counter("shop.größe", "Orders placed.", labels=("cart.kind",))
    if isinstance(own, OpenTelemetryMetricsAdapter):
        with pytest.raises(InvalidMetricNameError, match="OpenTelemetry"):
            requests.labels("gift").inc()
        return
    requests.labels(**{"cart.kind": "gift"}).inc(2)
    seconds = declared.histogram("shop.wait", "Wait.", buckets=(1,))
    seconds.observe(3)
    depth = declared.gauge("shop.depth", "Depth.", labels=("%s",))
    own.register_scrape_gauges(lambda: [depth.sample(4, "x")])
    text = scrape(own)
    assert value(text, "shop_gr__e_total", cart_kind="gift") == 2
    assert value(text, "shop_wait_bucket", le="1.0") == 0
    assert value(text, "shop_wait_sum") == 3
    assert value(text, "shop_depth", _s="x") == 4
    requests.remove("gift")
    assert value(scrape(own), "shop_gr__e_total") == 0


def test_two_names_that_are_escaped_alike_cannot_be_declared() -> None:
    declared.counter("shop.orders", "Orders placed.")
    with pytest.raises(MetricKindError, match="'shop_orders'"):
        declared.counter("shop_orders", "Orders placed.")
    with pytest.raises(MetricKindError, match="'shop_orders_total'"):
        declared.gauge("shop-orders_total", "Orders placed.")


def test_a_label_that_is_a_constant_label_too_is_refused(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("service",))
    with pytest.raises(MetricLabelsError, match="also a constant label"):
        orders.labels(service="x").inc()


def test_a_gauge_and_a_counter_of_one_name_stand_side_by_side_if_declared_together(
    own: MetricsAdapter,
) -> None:
    declared.gauge("imports", "Imports that wait.").set(3)
    declared.counter("imports_total", "Imports done.").inc()
    text = scrape(own)
    assert (value(text, "imports"), value(text, "imports_total")) == (3, 1)
    declared.counter("exports_total", "Exports done.")
    with pytest.raises(MetricKindError, match="'exports'"):
        declared.gauge("exports", "Exports that wait.")
