"""Every adapter takes the same values and label values, and refuses the same ones."""

import math
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction
from types import FunctionType
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.ports import (
    GaugeSample,
    InvalidMetricNameError,
    MetricKindError,
    MetricsAdapter,
    MetricsPort,
    MetricValueError,
)
from tests.exposition import samples, value

FAILURES = "metrics_scrape_gauges_failures_total"


class Scalar:
    """As numpy's scalars that are no subclass of float: a number by `__float__` alone."""

    def __init__(self, number: float) -> None:
        self._number = number

    def __float__(self) -> float:
        return self._number


class Teapot(int, Enum):
    CODE = 418


class Side(str, Enum):  # noqa: UP042 - whose str() is its name
    BUY = "buy"


class Colour(StrEnum):
    RED = "red"


class Odd(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("broken on purpose")


def scrape(metrics: MetricsPort) -> str:
    return metrics.get_http_handler()().decode()


REFUSED_EVERYWHERE = [None, "3", b"3", timedelta(seconds=1), 1j, [], object(), 10**400, Unprintable()]
REFUSED_AMOUNTS = [-3, -0.1, math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal(-1)]
AMOUNTS = [0.3, Decimal("0.3"), Fraction(3, 10), Scalar(0.3)]


@pytest.mark.parametrize(
    "amount", [*REFUSED_EVERYWHERE, *REFUSED_AMOUNTS], ids=lambda amount: type(amount).__name__
)
def test_amounts_that_would_spoil_a_total_are_refused(metrics: MetricsAdapter, amount: Any) -> None:
    counter = metrics.bind_counter("orders_total", {})
    histogram = metrics.bind_histogram("waited_seconds", {})
    counter.inc(2)
    histogram.observe(0.5)
    with pytest.raises(MetricValueError):
        counter.inc(amount)
    with pytest.raises(MetricValueError):
        histogram.observe(amount)
    with pytest.raises(MetricValueError):
        metrics.observe_histogram("waited_seconds", amount, {})
    text = scrape(metrics)
    assert value(text, "orders_total") == 2
    assert value(text, "waited_seconds_count") == 1
    assert value(text, "waited_seconds_sum") == 0.5
    assert value(text, "waited_seconds_bucket", le="0.25") == 0


@pytest.mark.parametrize("metrics", [InMemoryMetricsAdapter, PrometheusMetricsAdapter], indirect=True)
def test_a_total_beyond_the_largest_number_is_infinite_and_fails_no_scrape(metrics: MetricsAdapter) -> None:
    for _ in range(2):
        metrics.bind_counter("weight_total", {}).inc(1e308)
        metrics.observe_histogram("waited_seconds", 1e308, {})
    text = scrape(metrics)
    assert value(text, "weight_total") == math.inf
    assert value(text, "waited_seconds_sum") == math.inf
    assert value(text, "waited_seconds_count") == 2


@pytest.mark.parametrize("amount", AMOUNTS, ids=lambda amount: type(amount).__name__)
def test_every_real_number_is_counted_whole(metrics: MetricsAdapter, amount: Any) -> None:
    metrics.bind_counter("weight_total", {}).inc(amount)
    metrics.bind_histogram("waited_seconds", {}).observe(amount)
    metrics.observe_histogram("waited_seconds", amount, {})
    metrics.set_gauge("load", amount, {})
    text = scrape(metrics)
    assert value(text, "weight_total") == pytest.approx(0.3)
    assert value(text, "waited_seconds_count") == 2
    assert value(text, "waited_seconds_sum") == pytest.approx(0.6)
    assert value(text, "waited_seconds_bucket", le="0.5") == 2
    assert value(text, "load") == pytest.approx(0.3)


@pytest.mark.parametrize(("amount", "number"), [(True, 1), (-0.0, 0), (2**70, float(2**70))])
def test_odd_numbers_are_numbers(metrics: MetricsAdapter, amount: float, number: float) -> None:
    metrics.bind_counter("orders_total", {}).inc(amount)
    metrics.bind_histogram("waited_seconds", {}).observe(amount)
    text = scrape(metrics)
    assert value(text, "orders_total") == value(text, "waited_seconds_sum") == number


@pytest.mark.parametrize("number", REFUSED_EVERYWHERE, ids=lambda number: type(number).__name__)
def test_a_gauge_refuses_what_is_not_a_number(metrics: MetricsAdapter, number: Any) -> None:
    metrics.set_gauge("load", 1, {})
    with pytest.raises(MetricValueError):
        metrics.set_gauge("load", number, {})
    assert value(scrape(metrics), "load") == 1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1, Decimal("NaN")])
def test_a_gauge_takes_any_number(metrics: MetricsAdapter, number: Any) -> None:
    metrics.set_gauge("load", number, {})
    found = samples(scrape(metrics)).get("load", {})
    if found or not isinstance(metrics, OpenTelemetryMetricsAdapter) or math.isfinite(number):
        assert list(found.values()) == [pytest.approx(float(number), nan_ok=True)]


LABELS = [
    (5, "5"),
    (None, "None"),
    (True, "True"),
    (0.5, "0.5"),
    (Teapot.CODE, "418"),
    (Side.BUY, "buy"),
    (Colour.RED, "red"),
    (Odd("buy"), "buy"),
    ("half \ud800", "half ?"),
    ('quote " back \\ line\n tab\t nul\0 end\u2028', 'quote " back \\ line\n tab\t nul\0 end\u2028'),
]


@pytest.mark.parametrize(("label", "text"), LABELS, ids=range(len(LABELS)))
def test_label_values_become_the_same_text_however_they_are_recorded(
    metrics: MetricsAdapter, label: Any, text: str
) -> None:
    metrics.inc_counter("orders_total", {"side": text})
    metrics.inc_counter("orders_total", {"side": label})
    metrics.bind_counter("orders_total", {"side": label}).inc()
    metrics.register_scrape_gauges(lambda: [GaugeSample("depth", {"side": label}, 7)])
    exposed = scrape(metrics)
    clean = text.replace("\ud800", "?")
    assert samples(exposed)["orders_total"].keys() == {
        frozenset({"side": clean, **constant_labels(exposed)}.items())
    }
    assert value(exposed, "orders_total", side=clean) == 3
    assert value(exposed, "depth", side=clean) == 7


def constant_labels(exposed: str) -> dict[str, str]:
    [labels] = samples(exposed)["depth"]
    return {name: text for name, text in labels if name != "side"}


def test_a_status_code_of_any_integer_type_is_written_as_a_number(metrics: MetricsAdapter) -> None:
    recorder = metrics.request_recorder()
    for code in (Teapot.CODE, 418, Teapot.CODE):
        recorder.begin("GET")
        recorder.finish(("GET", "home", code), 0.1, "1" * 32)
    text = scrape(metrics)
    assert value(text, "http_requests_total", code="418") == value(text, "http_requests_total") == 3
    assert value(text, "http_request_errors_total", code="418") == 3


@pytest.mark.parametrize("number", REFUSED_EVERYWHERE, ids=lambda number: type(number).__name__)
def test_a_scrape_leaves_out_the_one_sample_that_cannot_be_exposed(
    metrics: MetricsAdapter, number: Any
) -> None:
    metrics.register_scrape_gauges(
        lambda: [
            GaugeSample("depth", {"side": "buy"}, number),
            GaugeSample("depth", {"side": "sell"}, 2),
        ]
    )
    metrics.inc_counter("orders_total", {})
    text = scrape(metrics)
    assert samples(text)["depth"].popitem()[1] == value(text, "depth", side="sell") == 2
    assert value(text, "orders_total") == 1
    assert value(scrape(metrics), FAILURES, reason="raised") >= 1


def raises_half_way() -> Iterable[GaugeSample]:
    yield GaugeSample("depth", {}, 1)
    raise RuntimeError("broken on purpose")


def not_samples() -> Iterable[Any]:
    return [
        None,
        5,
        ("depth",),
        ("depth", None, 1),
        ("depth", {1: "x"}, 1),
        ("no name", {}, 1),
        (None, {}, 1),
    ]


def label_that_raises() -> Iterable[Any]:
    return [GaugeSample("depth", {"side": Unprintable()}, 1)]  # type: ignore[dict-item]


@pytest.mark.parametrize("source", [raises_half_way, not_samples, label_that_raises, lambda: None, lambda: 5])
def test_a_source_of_anything_else_fails_no_scrape(metrics: MetricsAdapter, source: FunctionType) -> None:
    metrics.register_scrape_gauges(source)
    metrics.register_scrape_gauges(lambda: [GaugeSample("other", {}, 3)])
    text = scrape(metrics)
    assert "depth" not in samples(text)
    assert value(text, "other") == 3
    assert value(scrape(metrics), FAILURES, reason="raised") >= 1


def test_a_series_that_is_read_twice_is_exposed_once_and_counted(metrics: MetricsAdapter) -> None:
    twice = [GaugeSample("depth", {"side": "5"}, 1), GaugeSample("depth", {"side": 5}, 2)]  # type: ignore[dict-item]
    metrics.register_scrape_gauges(lambda: twice)
    metrics.register_scrape_gauges(lambda: [GaugeSample("depth", {"side": "5"}, 3)])
    assert value(scrape(metrics), "depth") == 1
    assert value(scrape(metrics), FAILURES) >= 2


SUFFIXED = ["queue_count", "queue_sum", "queue_bucket", "queue_created", "queue"]


@pytest.mark.parametrize("name", SUFFIXED)
def test_a_gauge_cannot_have_a_name_that_a_histogram_is_exposed_by(
    metrics: MetricsAdapter, name: str
) -> None:
    metrics.observe_histogram("queue", 1, {})
    with pytest.raises(MetricKindError, match=f"{name!r} is used as a gauge, but"):
        metrics.set_gauge(name, 1, {})


@pytest.mark.parametrize("name", SUFFIXED)
def test_a_histogram_cannot_have_the_name_of_a_gauge_with_a_suffix(
    metrics: MetricsAdapter, name: str
) -> None:
    metrics.set_gauge(name, 1, {})
    with pytest.raises(MetricKindError, match="'queue' is used as a histogram, but"):
        metrics.observe_histogram("queue", 1, {})
    assert parsed_as_openmetrics(metrics)


@pytest.mark.parametrize(
    "name", ["http_request_duration_seconds_count", "http_requests_created", "process_threads"]
)
def test_names_that_are_always_taken_are_refused_before_they_are_used(
    metrics: MetricsAdapter, name: str
) -> None:
    with pytest.raises(MetricKindError, match=repr(name)):
        metrics.set_gauge(name, 1, {})


@pytest.mark.parametrize("recorded_first", [True, False])
@pytest.mark.parametrize("name", ["queue", "queue_count", "http_requests", "process_threads"])
def test_a_gauge_read_at_the_scrape_gives_way_to_what_is_recorded(
    metrics: MetricsAdapter, name: str, recorded_first: bool
) -> None:
    if recorded_first:
        metrics.observe_histogram("queue", 1, {})
    metrics.register_scrape_gauges(lambda: [GaugeSample(name, {}, 77_777), GaugeSample("other", {}, 3)])
    scrape(metrics)
    metrics.observe_histogram("queue", 1, {})
    text = scrape(metrics)
    assert value(text, "queue_count") == 1 + recorded_first
    assert value(text, "other") == 3
    assert not [number for number in samples(text).get(name, {}).values() if number == 77_777]
    assert parsed_as_openmetrics(metrics)
    assert value(scrape(metrics), FAILURES, reason="raised") >= 1


def test_a_gauge_that_is_recorded_and_read_at_the_scrape_stands_there_once(metrics: MetricsAdapter) -> None:
    metrics.register_scrape_gauges(lambda: [GaugeSample("depth", {"side": "buy"}, 7)])
    metrics.set_gauge("depth", 2, {"side": "buy"})
    assert value(scrape(metrics), "depth") == 2
    assert parsed_as_openmetrics(metrics)


def test_a_counter_is_one_however_it_is_spelt(metrics: MetricsAdapter) -> None:
    for name in ("orders", "orders_total", "orders"):
        metrics.inc_counter(name, {})
    text = scrape(metrics)
    # OpenTelemetry's names have no suffix of their own: there it is the first one used.
    assert value(text, "orders_total") + value(text, "orders") == 3


def test_ten_thousand_label_values_are_counted_in_the_series_there_is_room_for(
    metrics: MetricsAdapter,
) -> None:
    for number in range(10_000):
        metrics.inc_counter("orders_total", {"side": f'{number}"\n\\'})
    text = scrape(metrics)
    assert value(text, "orders_total") == 10_000
    assert len(samples(text)["orders_total"]) == 3 + 1
    assert value(text, "metrics_dropped_series_total") == 10_000 - 3


def parsed_as_openmetrics(metrics: MetricsPort) -> bool:
    """Reads it, which raises when it cannot be; adapters that do not write it say nothing of it."""
    if isinstance(metrics, PrometheusMetricsAdapter):
        text = metrics.get_http_handler()("application/openmetrics-text;version=1.0.0").decode()
        return bool(list(text_string_to_metric_families(text)))
    return True


@pytest.mark.parametrize("adapter", [InMemoryMetricsAdapter, PrometheusMetricsAdapter])
def test_constant_labels_may_be_a_mapping(adapter: Any) -> None:
    made = adapter({"service": "shop", "instance": "", "version": 2, "region": "eu"})
    made.inc_counter("orders_total", {})
    assert 'orders_total{region="eu",service="shop",version="2"} 1.0' in scrape(made)
    made.close()


@pytest.mark.parametrize("label", ["le", "worker", "route", "not a name"])
def test_a_constant_label_that_metrics_have_themselves_is_refused(label: str) -> None:
    with pytest.raises(InvalidMetricNameError, match=repr(label)):
        InMemoryMetricsAdapter({label: "x"})
