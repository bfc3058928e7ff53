"""Native histograms, summed over slots, in the one format that holds them."""

import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint32

from metrics_app import metrics as declared
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, native
from metrics_app.adapters.prometheus.native import MAX_INDEX, PER_DOUBLING, ZERO, find_bucket
from tests.exposition import value
from tests.other_process import OtherProcess

ACCEPT = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus 2.42 sends with native histograms switched on."""
TYPES = {
    "double": 1,
    "uint64": 4,
    "int32": 5,
    "string": 9,
    "message": 11,
    "uint32": 13,
    "sint32": 17,
    "sint64": 18,
}
# name: field number, type (a message by its name), '*' for many. As client_model's metrics.proto has them.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "LabelPair": {"name": (1, "string"), "value": (2, "string")},
    "Gauge": {"value": (1, "double")},
    "Counter": {"value": (1, "double")},
    "Quantile": {"quantile": (1, "double"), "value": (2, "double")},
    "Summary": {"sample_count": (1, "uint64"), "sample_sum": (2, "double"), "quantile": (3, "Quantile*")},
    "Untyped": {"value": (1, "double")},
    "Bucket": {"cumulative_count": (1, "uint64"), "upper_bound": (2, "double")},
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Histogram": {
        "sample_count": (1, "uint64"),
        "sample_sum": (2, "double"),
        "bucket": (3, "Bucket*"),
        "schema": (5, "sint32"),
        "zero_threshold": (6, "double"),
        "zero_count": (7, "uint64"),
        "positive_span": (12, "BucketSpan*"),
        "positive_delta": (13, "sint64*"),
    },
    "Metric": {
        "label": (1, "LabelPair*"),
        "gauge": (2, "Gauge"),
        "counter": (3, "Counter"),
        "summary": (4, "Summary"),
        "untyped": (5, "Untyped"),
        "histogram": (7, "Histogram"),
    },
    "MetricFamily": {
        "name": (1, "string"),
        "help": (2, "string"),
        "type": (3, "int32"),
        "metric": (4, "Metric*"),
    },
}


def message_class() -> Any:
    """MetricFamily, from its definition, by Google's library: the adapter has an encoder of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.test", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number, label=3 if kind.endswith("*") else 1)
            field.type = TYPES.get(kind.rstrip("*"), TYPES["message"])
            if field.type == TYPES["message"]:
                field.type_name = f".io.test.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("io.test.MetricFamily"))


MetricFamily = message_class()


def decoded(exposition: bytes) -> dict[str, Any]:
    found, place = {}, 0
    while place < len(exposition):
        length, place = _DecodeVarint32(exposition, place)
        family = MetricFamily.FromString(exposition[place : place + length])
        assert family.name not in found
        found[family.name] = family
        place += length
    return found


def bucket_counts(histogram: Any) -> dict[int, int]:
    deltas = iter(histogram.positive_delta)
    index = count = 0
    found = {}
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            found[index] = count
            index += 1
    return found


@pytest.fixture
def metrics(directory: Path) -> Any:
    adapter = PrometheusMetricsAdapter({"service": "shop"}, directory=directory, native_histograms=True)
    yield adapter
    adapter.close()


@pytest.mark.parametrize(
    ("observed", "bucket"),
    [
        (0.0, ZERO),
        (1e-10, ZERO),
        (1.0, "0"),
        (1.0000001, "1"),
        (2.0, "8"),
        (0.5, "-8"),
        (0.4999, "-8"),
        (1e300, "320"),
    ],
)
def test_a_value_falls_into_the_bucket_whose_upper_bound_it_does_not_exceed(
    observed: float, bucket: str
) -> None:
    assert find_bucket(observed) == bucket


def test_every_bucket_has_its_bounds() -> None:
    for index in range(-200, MAX_INDEX):
        upper = 2.0 ** (index / PER_DOUBLING)
        assert find_bucket(upper * (1 - 1e-9)) == str(index)
        assert find_bucket(upper * (1 + 1e-9)) == str(index + 1)


def test_buckets_are_summed_over_processes_and_survive_them(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    chosen = random.Random(1)  # noqa: S311 - a distribution
    observed = [chosen.lognormvariate(-3, 1) for _ in range(300)] + [0.0] * 3
    expected: dict[str, int] = {}
    for number in observed:
        expected[find_bucket(number)] = expected.get(find_bucket(number), 0) + 1
    program = f"metrics._files.changing_native = metrics._families.changing; observed = {observed[::2]!r}"
    for number in observed[1::2]:
        metrics.observe_histogram("waited_seconds", number, {"queue": "a"})
    with OtherProcess(directory) as other:
        other.run(program)
        other.run("[metrics.observe_histogram('waited_seconds', n, {'queue': 'a'}) for n in observed]")
        other.kill()
    family = decoded(metrics.get_http_handler()(ACCEPT))["waited_seconds"]
    [metric] = family.metric
    histogram = metric.histogram
    assert {label.name: label.value for label in metric.label} == {"queue": "a", "service": "shop"}
    assert histogram.schema == 3
    assert histogram.zero_count == expected.pop(ZERO) == 3
    assert bucket_counts(histogram) == {int(index): count for index, count in expected.items()}
    assert histogram.sample_count == len(observed)
    assert histogram.sample_sum == pytest.approx(sum(observed))
    assert histogram.bucket[-1].cumulative_count == len(observed)


def test_all_types_are_written_and_the_text_is_as_ever(metrics: PrometheusMetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {"channel": "ä"})
    metrics.set_gauge("depth", -2.5, {})
    recorder = metrics.request_recorder()
    for _ in range(3):
        recorder.begin("GET")
        recorder.finish(("GET", "home", 500), 0.02)
    handler = metrics.get_http_handler()
    found, text = decoded(handler(ACCEPT)), handler()
    assert handler.content_type(ACCEPT).startswith(
        "application/vnd.google.protobuf; proto=io.prometheus.client.M"
    )
    assert found["orders_total"].metric[0].counter.value == 1
    assert found["depth"].metric[0].gauge.value == -2.5
    assert found["http_requests_total"].metric[0].counter.value == 3
    [duration] = found["http_request_duration_seconds"].metric
    assert sum(bucket_counts(duration.histogram).values()) == duration.histogram.sample_count == 3
    assert value(text, "http_request_duration_seconds_bucket", le="0.025") == 3
    assert b"native" not in text


def test_names_of_own_metrics_are_escaped(own: PrometheusMetricsAdapter) -> None:
    wait = declared.histogram("shop.wait", "Wait.", labels=("cart.kind",)).labels("gift")
    wait.observe(3)
    [metric] = decoded(own.get_http_handler()(ACCEPT))["shop_wait"].metric
    assert ("cart_kind", "gift") in [(label.name, label.value) for label in metric.label]
    assert sum(bucket_counts(metric.histogram).values()) == 1


def test_a_removed_series_counts_from_zero(metrics: PrometheusMetricsAdapter) -> None:
    metrics.observe_histogram("waited_seconds", 0.1, {})
    metrics.clear("waited_seconds")
    assert "waited_seconds" not in decoded(metrics.get_http_handler()(ACCEPT))
    metrics.observe_histogram("waited_seconds", 0.1, {})
    [metric] = decoded(metrics.get_http_handler()(ACCEPT))["waited_seconds"].metric
    assert metric.histogram.sample_count == 1


def test_unstored_observations_are_counted_with_the_next(
    metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.observe_histogram("waited_seconds", 0.1, {})
    with metrics._families.changing():  # as a finaliser that interrupts such a change
        for series in metrics._families.all()[0].series.values():
            series.add(5.0)
    metrics.observe_histogram("waited_seconds", 0.2, {})
    [metric] = decoded(metrics.get_http_handler()(ACCEPT))["waited_seconds"].metric
    assert metric.histogram.sample_count == 3


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/plain",
        "application/vnd.google.protobuf",
        ACCEPT.replace("delimited,", "delimited;q=0,"),
        ACCEPT.replace("delimited,", "delimited;q=0.7,"),
    ],
)
def test_the_format_is_written_only_for_who_prefers_it(
    metrics: PrometheusMetricsAdapter, accept: str
) -> None:
    assert b"# HELP" in metrics.get_http_handler()(accept)


def test_switched_off_nothing_is_stored_and_nothing_else_is_written(directory: Path) -> None:
    metrics = PrometheusMetricsAdapter(directory=directory)
    metrics.observe_histogram("waited_seconds", 0.1, {})
    assert b"# HELP" in metrics.get_http_handler()(ACCEPT)
    assert not list(directory.glob("*.native"))
    assert type(metrics._families.all()[0].series[()]) is not native.NativeHistogramCells
    metrics.close()
