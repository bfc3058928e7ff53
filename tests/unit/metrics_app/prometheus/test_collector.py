"""The merge of all slots is the stock collector's, sample by sample, and survives broken files."""

import os
import resource
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import Counter, Gauge, Histogram, MetricWrapperBase, Summary
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.collector import SlotCollector
from metrics_app.adapters.prometheus.snapshot import Families
from metrics_app.adapters.prometheus.writer import Writer
from tests.exposition import samples, value

MODES = [f"{live}{mode}" for live in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent")]
KINDS = ["counter", "summary", "histogram", *MODES]
PROCESSES = ["0", "1", "17", "4242"]
NAMES = ["generated", "another"]
"""A metric's name goes with one type in most cases; 'another' is used for several."""
FORMATS = [
    "",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "text/plain;version=1.0.0;escaping=dots",
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=1.0.0;escaping=values",
]

numbers = st.floats()
label_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
recordings = st.lists(
    st.tuples(
        st.sampled_from(PROCESSES),
        st.sampled_from(KINDS),
        st.sampled_from(NAMES),
        st.sampled_from(["ä", "b", '"\\\n']) | label_values,
        numbers,
    ),
    max_size=20,
)
deaths = st.sampled_from(PROCESSES)
Recording = tuple[str, str, str, str, float]


def instrument(kind: str, name: str) -> tuple[MetricWrapperBase, Callable[[Any, float], None]]:
    if name == "generated":
        name = f"generated_{kind}"
    if kind == "counter":
        return Counter(name, "A counter.", ["x"], registry=None), lambda child, n: child.inc(abs(n))
    if kind == "summary":
        return Summary(name, "A summary.", ["x"], registry=None), lambda child, n: child.observe(n)
    if kind == "histogram":
        histogram = Histogram(name, "A histogram.", ["x"], registry=None, buckets=(-5, 0.1, 1e3))
        return histogram, lambda child, n: child.observe(n)
    gauge = Gauge(name, "A\ngauge.", ["x"], registry=None, multiprocess_mode=kind)  # type: ignore[arg-type]
    return gauge, lambda child, n: child.set(n)


def write(directory: str, recorded: Iterable[Recording]) -> None:
    """Record as each of the processes in turn, by prometheus_client's own multiprocess mode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", directory)
        made: dict[str, tuple[Any, dict[tuple[str, str], Any]]] = {}
        for process, kind, name, label, number in recorded:
            if process not in made:
                value_class = values.MultiProcessValue(lambda process=process: process)
                made[process] = value_class, {}
            value_class, metrics = made[process]
            patch.setattr(values, "ValueClass", value_class)
            if (kind, name) not in metrics:
                metrics[kind, name] = instrument(kind, name)
            parent, record = metrics[kind, name]
            record(parent.labels(label), number)
        for value_class, _ in made.values():
            value_class.close_all_files()


def remove(directory: str, process: str) -> None:
    for path in Path(directory).glob(f"*_{process}.db"):
        path.unlink()


def flat(metrics: Iterable[Metric]) -> list[tuple[object, ...]]:
    return [
        (metric.name, metric.type, metric.documentation, sample.name, sample.labels, repr(sample.value))
        for metric in metrics
        for sample in metric.samples
        if metric.name != "metrics_skipped_files"
    ]


@given(st.lists(recordings | deaths, min_size=1, max_size=4))
@settings(deadline=None)
def test_every_scrape_is_the_stock_collectors(steps: list[list[Recording] | str]) -> None:
    constant = {"service": "shop"}
    with TemporaryDirectory() as directory:
        ours, writer = SlotCollector(Path(directory)), Writer(constant)
        stock = MultiProcessCollector(None, directory)
        for step in steps:
            if isinstance(step, str):
                remove(directory, step)
            else:
                write(directory, step)
            expected = list(stock.collect())
            assert flat(ours.collect()) == flat(expected)
            for metric in expected:
                metric.samples = [s._replace(labels={**s.labels, **constant}) for s in metric.samples]
            for accept in FORMATS:
                encode, content_type = choose_encoder(accept)
                text = writer.text(ours.snapshots()[:-1], encode, content_type)
                assert text == encode(Families(*expected))


def test_the_property_above_sees_every_type_and_mode(tmp_path: Path) -> None:
    write(str(tmp_path), [(process, kind, "generated", "a", 2.0) for kind in KINDS for process in PROCESSES])
    found = flat(SlotCollector(tmp_path).collect())
    assert {name for name, *_ in found} == {f"generated_{kind}" for kind in KINDS}


def counter_file(path: Path, **counted: float) -> None:
    """Replace a file, with the same inode if there is one."""
    path.write_bytes(b"")
    file = MmapedDict(str(path))
    for name, number in counted.items():
        file.write_value(mmap_key(name, f"{name}_total", [], [], "Help."), number, 0.0)
    file.close()


def counts(collector: SlotCollector) -> dict[str, float]:
    return {sample.name: sample.value for metric in collector.collect() for sample in metric.samples[:1]}


@pytest.mark.parametrize("remove_first", [True, False])
def test_replaced_file_is_read_again(directory: Path, remove_first: bool) -> None:
    path = directory / "counter_0.db"
    counter_file(path, aa=1, bb=2)
    collector = SlotCollector(directory)
    assert counts(collector)["aa_total"] == 1
    if remove_first:
        path.unlink()  # the next file often gets the same inode
    counter_file(path, bb=1, aa=2)
    assert (counts(collector)["aa_total"], counts(collector)["bb_total"]) == (2, 1)
    counter_file(path, cc=3)
    assert counts(collector) == {"cc_total": 3, "metrics_skipped_files": 0}


def test_series_that_are_added_are_found_behind_the_known_ones(directory: Path) -> None:
    collector = SlotCollector(directory)
    file = MmapedDict(str(directory / "counter_0.db"))
    for number in range(600):
        file.write_value(mmap_key(f"m{number}", f"m{number}_total", [], [], "Help."), number, 0.0)
        if number % 100 == 0:
            assert counts(collector)[f"m{number}_total"] == number
    file.close()
    assert len(counts(collector)) == 600 + 1


def open_files_in(directory: Path) -> list[str]:
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor by which they are listed
            targets.append(str(link.readlink()))
    return [target for target in targets if target.startswith(str(directory))]


def test_files_that_are_gone_are_not_kept_open(directory: Path) -> None:
    collector = SlotCollector(directory)
    for process in range(20):
        counter_file(directory / f"counter_{process}.db", aa=1)
    counts(collector)
    assert len(open_files_in(directory)) == 20
    for path in directory.iterdir():
        path.unlink()
    assert counts(collector) == {"metrics_skipped_files": 0}
    assert open_files_in(directory) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_directory_entries_other_than_files_are_foreign(
    directory: Path, make: Callable[[Path], None]
) -> None:
    make(directory / "counter_9.db")
    [skipped] = SlotCollector(directory).collect()
    assert {sample.labels["reason"]: sample.value for sample in skipped.samples}["foreign"] == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("counter_9.db", b"", "empty"),
        ("counter_9.db", b"\x08\0", "truncated"),
        ("counter_9.db", b"\xff\xff\xff\x7f" + bytes(5000), "truncated"),
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
    content = bytearray((directory / "counter_slot-0.db").read_bytes())
    content[content.rindex(b'["orders"')] = 0xFF
    (directory / "counter_9.db").write_bytes(content)
    text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 2
    assert value(text, "metrics_skipped_files", reason="foreign") == 1


def test_a_file_that_vanishes_while_it_is_read_is_no_fault(directory: Path) -> None:
    (directory / "counter_9.db").symlink_to(directory / "gone")
    [skipped] = SlotCollector(directory).collect()
    assert {sample.value for sample in skipped.samples} == {0}


def test_a_scrape_tells_how_long_the_one_before_took_and_how_many_series_it_had(
    metrics: PrometheusMetricsAdapter,
) -> None:
    for number in range(50):
        metrics.inc_counter("orders_total", {"side": str(number)})
    first = metrics.get_http_handler()()
    second = metrics.get_http_handler()()
    assert value(second, "metrics_scrape_series") == sum(map(len, samples(first).values())) >= 50
    assert 0 < value(second, "metrics_scrape_duration_seconds") < 10


@contextmanager
def one_descriptor_left() -> Iterator[None]:
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_without_descriptors_answers_nothing_rather_than_less_than_before(directory: Path) -> None:
    for process in range(2):
        with closing(MmapedDict(str(directory / f"counter_{process}.db"))) as file:
            file.write_value(mmap_key("orders", "orders_total", [], [], "Help."), 1.0, 0.0)
    collector = SlotCollector(directory)
    with one_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        collector.snapshots()
    orders, _ = collector.collect()
    assert [sample.value for sample in orders.samples] == [2.0]
