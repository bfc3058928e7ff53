"""What libraries record with prometheus_client is exact over processes, without a word in their code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, upstream
from metrics_app.adapters.prometheus.library_values import LibraryValue, library
from metrics_app.checks import check_limitations
from tests.exposition import samples, value
from tests.other_process import OtherProcess

MODES = [f"{live}{mode}" for live in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent")]
TAKE_OVER = "PrometheusMetricsAdapter.take_over_libraries(lambda: metrics)"
IMPORTS = "import os, time; from prometheus_client import Counter, Gauge, Histogram, Info, Summary, values"
ALL_KINDS = """
def recorded():
    global counter, plain
    counter = Counter("jobs", "Jobs.", ["queue"], registry=None)
    counter.labels("ä").inc(number)
    counter.labels("idle")
    plain = Counter("plain", "Plain.", registry=None)
    Summary("size", "Size.", registry=None).observe(number)
    Histogram("wait", "Wait.", ["queue"], registry=None, buckets=(1, 2)).labels("x").observe(number)
    for mode in MODES:
        gauge = Gauge(f"gauge_{mode}", "Gauge.", ["x"], registry=None, multiprocess_mode=mode)
        gauge.labels("y").set(number - 2)
    Gauge("moving", "Moving.", registry=None, multiprocess_mode="sum").dec(number)
"""


@pytest.fixture(autouse=True)
def _libraries_record_here(metrics: PrometheusMetricsAdapter) -> Iterator[None]:
    """In this process, too; the adapter of the settings afterwards."""
    before = library.find_store
    PrometheusMetricsAdapter.take_over_libraries(lambda: metrics)
    yield
    library.find_store = before


def scrape(metrics: PrometheusMetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def by_slot(text: str) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """The samples of ALL_KINDS, the processes being told by a number in the order of their slots."""
    prefixes = ("jobs", "plain", "size", "wait", "gauge", "moving")
    return {name: found for name, found in samples(text).items() if name.startswith(prefixes)}


def test_every_type_and_mode_is_merged_as_prometheus_clients_own(directory: Path, tmp_path: Path) -> None:
    stock = tmp_path / "stock"
    stock.mkdir()
    with OtherProcess(directory) as first, OtherProcess(directory) as second:
        for number, process in enumerate((first, second)):
            process.run(IMPORTS)
            process.run(f"MODES = {MODES!r}; number = {number + 1}; exec({ALL_KINDS!r})")
            process.run(TAKE_OVER)
            process.run("recorded(); metrics.announce()")
            process.run(f"os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(stock)!r}")
            process.run(f"values.ValueClass = values.MultiProcessValue(lambda: 'slot-{number}'); recorded()")
        first.run(f"Path({str(tmp_path / 'text')!r}).write_bytes(metrics.get_http_handler()())")
    expected = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in MultiProcessCollector(None, str(stock)).collect()
        for sample in metric.samples
    }
    found = by_slot((tmp_path / "text").read_text())
    assert {(name, labels): number for name, of in found.items() for labels, number in of.items()} == expected
    assert len(expected) > 20


def test_metrics_made_before_the_takeover_keep_what_they_counted(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(IMPORTS)
        other.run("from prometheus_client import CollectorRegistry; elsewhere = CollectorRegistry()")
        other.run("early = Counter('early', 'Early.', ['x'], registry=elsewhere); early.labels('a').inc(2)")
        other.run("late = Histogram('late', 'Late.', registry=None); late.observe(0.3); late.observe(20)")
        other.run("depth = Gauge('depth', 'Depth.', multiprocess_mode='max'); depth.set(7)")
        other.run(f"{TAKE_OVER}; early.labels('a').inc(); late.observe(0.3)")
        other.run("text = metrics.get_http_handler()()")
        for line in (
            b'early_total{x="a"} 3.0',
            b"late_count 3.0",
            b'late_bucket{le="0.5"} 2.0',
            b"depth 7.0",
        ):
            other.run(f"assert {line!r} in text, text")


def test_children_of_a_fork_count_for_themselves(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(f"{IMPORTS}; {TAKE_OVER}; made = Counter('made', 'Made.'); made.inc()")
        count = "(made.inc(10), os._exit(made._value.get() != 10))"
        for _ in range(2):
            other.run(f"child = os.fork(); child or {count}")
            other.run("assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0")
            count = "(made.inc(10), os._exit(made._value.get() != 20))"
        other.run("made.inc(); assert b'made_total 22.0' in metrics.get_http_handler()()")


def test_a_master_that_only_makes_metrics_takes_no_slot(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(f"{IMPORTS}; metrics.close(); {TAKE_OVER}; made = Counter('made', 'Made.')")
        other.run("child = os.fork(); child or (made.inc(), os._exit(0))")
        other.run("os.waitpid(child, 0)")
        assert not list(directory.glob("*-1.*"))
        other.run("assert b'made_total 1.0' in metrics.get_http_handler()()")


def test_a_killed_processs_counts_stay_and_its_live_gauges_go(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    record = (
        "Counter('made', 'Made.').inc(); Gauge('busy', 'Busy.', multiprocess_mode='livesum').inc(); "
        "Gauge('seen', 'Seen.', multiprocess_mode='max').set(3)"
    )
    metrics.announce()
    for number in (1, 2, 3):
        with OtherProcess(directory) as other:
            other.run(f"{IMPORTS}; {TAKE_OVER}; {record}")
            assert value(scrape(metrics), "busy") == 1
            other.kill()
            text = scrape(metrics)
        assert value(text, "made_total") == number
        assert value(text, "seen") == 3
        assert "busy" not in samples(text)
    assert len(list(directory.glob("counter_library-*.db"))) <= 2


def test_no_increment_of_many_threads_is_lost(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(f"import sys; sys.setswitchinterval(1e-6); {IMPORTS}; {TAKE_OVER}")
        other.run("from threading import Thread; made = Counter('made', 'Made.', ['x'])")
        other.run("work = lambda: [made.labels(str(n % 7)).inc() for n in range(2000)]")
        other.run("threads = [Thread(target=work) for _ in range(8)]")
        other.run("[thread.start() for thread in threads]; [thread.join() for thread in threads]")
        other.run("found = metrics.get_http_handler()().decode().splitlines()")
        other.run("found = [float(line.split()[1]) for line in found if line.startswith('made_total{')]")
        other.run("assert sum(found) == 16000, found")


@pytest.mark.parametrize("labels", [{}, {"channel": "web"}])
def test_a_librarys_metric_with_the_name_of_one_of_ours_is_left_out_and_named(
    metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture, labels: dict[str, str]
) -> None:
    metrics.inc_counter("orders_total", {})
    counter = Counter("orders", "Orders.", labels, registry=None)
    (counter.labels(**labels) if labels else counter).inc(5)
    text = scrape(metrics)
    assert list(samples(text)["orders_total"].values()) == [1]
    assert value(text, "metrics_clashing_metrics") == 1
    assert "'orders', which a library made with prometheus_client, is left out" in caplog.text
    assert list(
        text_string_to_metric_families(metrics.get_http_handler()("application/openmetrics-text").decode())
    )


def test_prometheus_clients_own_mode_in_the_same_directory_loses_nothing(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    made = Counter("made", "Made.", registry=None)
    made.inc(3)
    with OtherProcess(directory) as stock, OtherProcess(directory) as migrating:
        for process in (stock, migrating):
            process.run(f"import os; os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(directory)!r}; {IMPORTS}")
            process.run("values.ValueClass = values.MultiProcessValue()")
            process.run("made = Counter('made', 'Made.', registry=None); made.inc(10)")
        migrating.run(f"{TAKE_OVER}; made.inc(100)")
        stock.run("made.inc(10)")
        assert value(scrape(metrics), "made_total") == 133
    read_by_stock = CollectorRegistry()
    MultiProcessCollector(read_by_stock, str(directory))
    assert read_by_stock.get_sample_value("made_total") == 133


def test_a_gauge_moves_out_of_prometheus_clients_own_file(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(f"import os; os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(directory)!r}; {IMPORTS}")
        other.run("values.ValueClass = values.MultiProcessValue()")
        for mode in MODES:
            other.run(f"{mode} = Gauge('{mode}', 'Gauge.', registry=None, multiprocess_mode='{mode}')")
            other.run(f"{mode}.set({'-5' if 'max' in mode else '5'})")
        other.run(f"idle = Gauge('idle', 'Idle.', registry=None, multiprocess_mode='min'); {TAKE_OVER}")
        other.run("idle.set(9); text = metrics.get_http_handler()().decode()")
        other.run(
            "found = {line.split('{')[0].split()[0]: line for line in text.splitlines() if line[0] != '#'}"
        )
        for mode in MODES:
            line = (
                f'{mode}{{pid="slot-0"}} 5.0'
                if mode.endswith("all")
                else f"{mode} {'-' * ('max' in mode)}5.0"
            )
            other.run(f"assert found[{mode!r}] == {line!r} and text.count('\\n{mode}') == 1, text")
        other.run("assert found['idle'] == 'idle 9.0', text")


@pytest.mark.filterwarnings("ignore:(Removal|Clearing)")
def test_removed_series_vanish_from_all_processes(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    made = Counter("made", "Made.", ["x", "y"], registry=None)
    wait = Histogram("wait", "Wait.", ["x"], registry=None)
    with OtherProcess(directory) as other:
        other.run(f"{IMPORTS}; {TAKE_OVER}; made = Counter('made', 'Made.', ['x', 'y'])")
        other.run("wait = Histogram('wait', 'Wait.', ['x']); wait.labels('a').observe(1)")
        for x, y in (("a", "b"), ("a", "c"), ("d", "e")):
            other.run(f"made.labels({x!r}, {y!r}).inc(5)")
            made.labels(x, y).inc()
        wait.labels("a").observe(1)
        made.remove("a", "b")
        assert {dict(labels)["y"] for labels in samples(scrape(metrics))["made_total"]} == {"c", "e"}
        other.run("made.labels('a', 'b').inc(2)")
        made.labels("a", "b").inc()
        assert value(scrape(metrics), "made_total", x="a", y="b") == 3
        assert made.labels("a", "b")._value.get() == 1
        made.remove_by_labels({"x": "a"})
        assert value(scrape(metrics), "made_total") == 6
        made.clear()
        wait.clear()
        assert not {"made_total", "wait_count"} & samples(scrape(metrics)).keys()
        other.run("wait.labels('a').observe(1)")
        assert value(scrape(metrics), "wait_bucket", le="+Inf") == 1


def test_a_finaliser_that_records_in_the_midst_of_a_change_is_counted(
    metrics: PrometheusMetricsAdapter,
) -> None:
    made = Counter("made", "Made.", registry=None)
    with metrics._families.changing():
        made.inc()
    assert made._value.get() == 1
    assert value(scrape(metrics), "made_total") == 1


def test_without_a_store_values_count_in_memory_and_are_stored_later(
    metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(library, "find_store", lambda: None)
        depth = Gauge("depth", "Depth.", registry=None, multiprocess_mode="sum")
        wait = Histogram("wait", "Wait.", registry=None, buckets=(1, 2))
        depth.set(5)
        depth.dec()
        wait.observe(1.5)
        assert depth._value.get() == 4
    library._next_try = 0.0
    text = scrape(metrics)
    assert value(text, "depth") == 4
    assert value(text, "wait_bucket", le="1.0") == 0
    assert value(text, "wait_count") == 1


def test_value_that_is_not_a_number_changes_nothing(metrics: PrometheusMetricsAdapter) -> None:
    made = Counter("made", "Made.", registry=None)
    made.inc()
    with pytest.raises(TypeError):
        made._value.inc("2")
    with pytest.raises(TypeError):
        made._value.inc(2j)
    made.inc(2)
    assert value(scrape(metrics), "made_total") == 3


def test_the_installed_prometheus_client_makes_values_as_it_is_relied_on() -> None:
    upstream.contract_fault.cache_clear()
    assert upstream.contract_fault() is None
    assert values.ValueClass is LibraryValue


def test_another_way_to_make_values_is_noticed_and_nothing_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Renamed(LibraryValue):
        def __init__(self, kind: str, **_: object) -> None:
            super().__init__(kind, "", "", (), (), "")

    upstream.contract_fault.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(upstream, "LibraryValue", Renamed)
        patch.setattr(values, "ValueClass", values.MutexValue)
        upstream.install(lambda: None)
        assert values.ValueClass is values.MutexValue
        [message] = check_limitations()
    assert message.id == "metrics_app.W002"
    assert "what other libraries record with it is not exposed" in message.msg
    upstream.contract_fault.cache_clear()
    assert check_limitations() == []
