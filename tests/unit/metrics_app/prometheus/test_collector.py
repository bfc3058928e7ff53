"""The merge of all slots is the stock collector's, sample by sample, and survives broken files."""

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric, values
from prometheus_client.metrics import Counter, Gauge, Histogram, MetricWrapperBase, Summary
from prometheus_client.multiprocess import MultiProcessCollector

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.collector import SlotCollector
from tests.exposition import value

MODES = [f"{live}{mode}" for live in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent")]
KINDS = ["counter", "summary", "histogram", *MODES]
PROCESSES = ["0", "1", "17", "4242"]

numbers = st.floats(min_value=-1e6, max_value=1e6)
label_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
recordings = st.lists(
    st.tuples(st.sampled_from(PROCESSES), st.sampled_from(KINDS), label_values, numbers), max_size=40
)


def instruments(kind: str) -> tuple[MetricWrapperBase, Callable[[Any, float], None]]:
    name = f"generated_{kind}"
    if kind == "counter":
        return Counter(name, "A counter.", ["x"], registry=None), lambda child, n: child.inc(abs(n))
    if kind == "summary":
        return Summary(name, "A summary.", ["x"], registry=None), lambda child, n: child.observe(n)
    if kind == "histogram":
        histogram = Histogram(name, "A histogram.", ["x"], registry=None, buckets=(-5, 0.1, 1e3))
        return histogram, lambda child, n: child.observe(n)
    gauge = Gauge(name, "A gauge.", ["x"], registry=None, multiprocess_mode=kind)  # type: ignore[arg-type]
    return gauge, lambda child, n: child.set(n)


def write(directory: str, recorded: Iterable[tuple[str, str, str, float]]) -> None:
    """Record as each of the processes in turn, by prometheus_client's own multiprocess mode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", directory)
        made: dict[str, tuple[Any, dict[str, Any]]] = {}
        for process, kind, label, number in recorded:
            if process not in made:
                value_class = values.MultiProcessValue(lambda process=process: process)
                made[process] = value_class, {}
            value_class, metrics = made[process]
            patch.setattr(values, "ValueClass", value_class)
            if kind not in metrics:
                metrics[kind] = instruments(kind)
            parent, record = metrics[kind]
            record(parent.labels(label), number)
        for value_class, _ in made.values():
            value_class.close_all_files()


def flat(metrics: Iterable[Metric]) -> list[tuple[object, ...]]:
    return [
        (metric.name, metric.type, metric.documentation, sample.name, sample.labels, sample.value)
        for metric in metrics
        for sample in metric.samples
        if metric.name != "metrics_skipped_files"
    ]


@given(recordings)
@settings(deadline=None)
def test_the_merge_is_the_stock_collectors(recorded: list[tuple[str, str, str, float]]) -> None:
    with TemporaryDirectory() as directory:
        write(directory, recorded)
        stock = flat(MultiProcessCollector(None, directory).collect())
        ours = SlotCollector(Path(directory))
        assert flat(ours.collect()) == stock
        assert flat(ours.collect()) == stock, "a second scrape reads the same"


def test_the_property_above_sees_every_type_and_mode(tmp_path: Path) -> None:
    write(str(tmp_path), [(process, kind, "a", 2.0) for kind in KINDS for process in PROCESSES])
    found = flat(SlotCollector(tmp_path).collect())
    assert {name for name, *_ in found} == {f"generated_{kind}" for kind in KINDS}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("counter_9.db", b"", "empty"),
        ("counter_9.db", b"\x08\0", "truncated"),
        ("histogram_9.db", b"\xff\x00\x00\x00" + bytes(20), "truncated"),
        ("counter_9.db", b"\x28\0\0\0\0\0\0\0\x04\0\0\0null" + bytes(24), "foreign"),
        ("coordinator.db", b"SQLite format 3\0", "foreign"),
    ],
)
def test_a_file_that_cannot_be_read_is_skipped_and_counted(
    directory: Path, metrics: PrometheusMetricsAdapter, name: str, content: bytes, reason: str
) -> None:
    metrics.inc_counter("orders_total", {})
    (directory / name).write_bytes(content)
    text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 1
    assert value(text, "metrics_skipped_files") == value(text, "metrics_skipped_files", reason=reason) == 1


def test_half_of_a_file_is_not_counted(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {"side": "buy"})
    metrics.inc_counter("orders_total", {"side": "sell"})
    content = bytearray((directory / "counter_0.db").read_bytes())
    content[content.rindex(b'["orders"')] = 0xFF
    (directory / "counter_9.db").write_bytes(content)
    text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 2
    assert value(text, "metrics_skipped_files", reason="foreign") == 1


def test_a_file_that_vanishes_while_it_is_read_is_no_fault(directory: Path) -> None:
    (directory / "counter_9.db").symlink_to(directory / "gone")
    [skipped] = SlotCollector(directory).collect()
    assert {sample.value for sample in skipped.samples} == {0}
