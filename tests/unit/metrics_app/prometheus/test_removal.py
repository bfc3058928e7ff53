"""What one process removes vanishes, whichever process recorded it; nothing recorded afterwards is lost."""

from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.compaction import Entries
from metrics_app.adapters.prometheus.files import parsed
from tests.exposition import samples, value
from tests.other_process import OtherProcess

OTHERS = {"side": "buy"}


def scrape(metrics: PrometheusMetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def count(sides: str, times: int = 1) -> str:
    return f"[metrics.inc_counter('deals_total', {{'side': s}}) for s in {sides!r}.split() * {times}]"


def test_removed_series_of_another_process_restart_at_zero(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("deals_total", OTHERS)
    with OtherProcess(directory) as other:
        other.run(count("buy sell", 5))
        metrics.remove("deals_total", OTHERS)
        text = scrape(metrics)
        assert value(text, "deals_total", side="sell") == value(text, "deals_total") == 5
        other.run(count("buy", 2))
        metrics.inc_counter("deals_total", OTHERS)
        assert value(scrape(metrics), "deals_total", side="buy") == 3
        other.run("metrics.clear('deals_total')")
        assert "deals_total" not in samples(scrape(metrics))
        metrics.inc_counter("deals_total", OTHERS)
        other.run(count("sell"))
        text = scrape(metrics)
        assert [value(text, "deals_total", side=side) for side in ("buy", "sell")] == [1, 1]


def test_removed_series_of_a_dead_process_restart_at_zero_for_the_next_owner(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("deals_total", {"side": "sell"})
    with OtherProcess(directory) as other:
        other.run(count("buy", 5))
    metrics.remove("deals_total", OTHERS)
    assert value(scrape(metrics), "deals_total", side="buy") == 0
    with OtherProcess(directory) as other:
        other.run(count("buy", 2))
        assert value(scrape(metrics), "deals_total", side="buy") == 2
        assert value(scrape(metrics), "orders_total") == 2


def test_a_process_that_records_meanwhile_loses_nothing_it_records_afterwards(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("deals_total", OTHERS)
    with OtherProcess(directory) as other:
        other.run("from threading import Thread")
        loop = "lambda: [metrics.inc_counter('deals_total', {'side': 'buy'}) for _ in range(30_000)]"
        other.run(f"worker = Thread(target={loop}); worker.start()")
        for _ in range(30):
            metrics.remove("deals_total", OTHERS)
            assert 0 <= value(scrape(metrics), "deals_total") <= 30_000
        other.run("worker.join()")
        metrics.remove("deals_total", OTHERS)
        assert "deals_total" not in samples(scrape(metrics))
        other.run(count("buy", 7))
        assert value(scrape(metrics), "deals_total") == 7


@pytest.mark.parametrize("merge", ["sum", "livesum", "max", "min", "mostrecent"])
def test_a_gauge_of_another_process_vanishes_until_that_sets_it(
    directory: Path, metrics: PrometheusMetricsAdapter, merge: str
) -> None:
    declare = (
        "from metrics_app.catalogue import CATALOGUE, Definition, Kind, Merge; "
        f"CATALOGUE['depth'] = Definition('depth', Kind.GAUGE, 'Depth.', ('side',), (), Merge('{merge}'))"
    )
    scope: dict[str, object] = {}
    exec(declare, scope)  # noqa: S102 - the same here and there
    try:
        with OtherProcess(directory) as other:
            other.run(declare)
            other.run("metrics.set_gauge('depth', 5, {'side': 'buy'})")
            metrics.remove("depth", OTHERS)
            assert "depth" not in samples(scrape(metrics))
            other.run("metrics.set_gauge('depth', 5, {'side': 'buy'})")
            assert value(scrape(metrics), "depth") == 5
            metrics.set_gauge("depth", 5, OTHERS)
            assert value(scrape(metrics), "depth") == (10 if merge.endswith("sum") else 5)
    finally:
        del scope["CATALOGUE"]["depth"]  # type: ignore[attr-defined]


def test_a_histogram_of_several_processes_keeps_whole_label_sets(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    observe = "metrics.observe_histogram('wait_seconds', {}, {{'queue': '{}'}})"
    with OtherProcess(directory) as other:
        for queue in ("a", "b"):
            metrics.observe_histogram("wait_seconds", 0.2, {"queue": queue})
            other.run(observe.format(3, queue))
        metrics.remove("wait_seconds", {"queue": "a"})
        text = scrape(metrics)
        assert {dict(labels)["queue"] for labels in samples(text)["wait_seconds_bucket"]} == {"b"}
        other.run(observe.format(0.2, "a"))
        text = scrape(metrics)
        assert value(text, "wait_seconds_count", queue="a") == value(
            text, "wait_seconds_bucket", le="0.25", queue="a"
        )
        assert len(samples(text)["wait_seconds_bucket"]) == 2 * 15
        assert value(text, "wait_seconds_count", queue="b") == 2


def test_removal_by_another_process_makes_room_for_label_sets(directory: Path) -> None:
    metrics = PrometheusMetricsAdapter(directory=directory, max_label_sets=3)
    for side in ("a", "b", "c"):
        metrics.inc_counter("deals_total", {"side": side})
    with OtherProcess(directory) as other:
        other.run(count("a"))
        for side in ("a", "b"):
            other.run(f"metrics.remove('deals_total', {{'side': {side!r}}})")
        for side in ("d", "e", "c"):
            metrics.inc_counter("deals_total", {"side": side})
        text = scrape(metrics)
    metrics.close()
    assert [value(text, "deals_total", side=side) for side in "abcde"] == [0, 0, 2, 1, 1]
    assert value(text, "deals_total", side="overflow") == 0


def test_the_next_owner_of_a_slot_leaves_out_what_was_removed(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("deals_total", {"side": "kept"})
    observe = "metrics.observe_histogram('wait_seconds', 0.2, {'queue': 'a'})"
    with OtherProcess(directory) as other:
        other.run("[metrics.inc_counter('deals_total', {'side': str(n)}) for n in range(100)]")
        other.run(f"{observe}; metrics.remove('wait_seconds', {{'queue': 'a'}}); {observe}")
        other.run("[metrics.remove('deals_total', {'side': str(n)}) for n in range(100)]")
        other.run(count("5 5 7"))
    before = scrape(metrics)
    with OtherProcess(directory) as other:
        other.run(count("7"))
        other.run(observe)
        after = scrape(metrics)
    for text, more in ((before, 0), (after, 1)):
        assert [value(text, "deals_total", side=side) for side in ("kept", "5", "7", "9")] == [
            1,
            2,
            1 + more,
            0,
        ]
        assert value(text, "wait_seconds_count") == value(text, "wait_seconds_bucket", le="0.25") == 1 + more
        assert value(text, "wait_seconds_sum") == pytest.approx(0.2 + 0.2 * more)
    keys = [parsed(key) for key in Entries(directory / "counter_slot-1.db").keys]
    assert {dict(key.labels)["side"] for key in keys if key.metric == "deals"} == {"5", "7"}
    assert not list(directory.glob("*.rewritten"))
