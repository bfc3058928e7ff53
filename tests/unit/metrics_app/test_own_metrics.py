"""Metrics that an application declares, by every adapter."""

import asyncio
import copy
import math
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from metrics_app import current
from metrics_app import metrics as declared
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.ports import (
    GaugeSample,
    MetricKindError,
    MetricLabelsError,
    MetricsAdapter,
    MetricValueError,
)
from tests.exposition import samples, value

pytestmark = pytest.mark.usefixtures("own")


def scrape(metrics: MetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def test_a_counter_adds_amounts_by_labels(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel", "side"))
    orders.labels(channel="web", side="buy").inc(3)
    orders.labels("web", "buy").inc()
    orders.labels(side="sell", channel="web").inc(0.5)
    text = scrape(own)
    assert value(text, "shop_orders_total", channel="web", side="buy") == 4
    assert value(text, "shop_orders_total", channel="web", side="sell") == 0.5


def pickled(instrument: Any) -> Any:
    return pickle.loads(pickle.dumps(instrument))  # noqa: S301 - nobody else's


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_records_the_same_series(own: MetricsAdapter, duplicate: Callable[[Any], Any]) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    web = orders.labels(channel="web")
    web.inc()
    duplicate(web).inc()
    duplicate({"counters": [orders]})["counters"][0].labels(channel="web").inc()
    assert value(scrape(own), "shop_orders_total", channel="web") == 3


def test_an_instrument_without_labels_records_itself(own: MetricsAdapter) -> None:
    declared.counter("mails_total", "Mails sent.").inc(2)
    declared.histogram("order_euros", "Value.", buckets=(10, 50)).observe(20)
    queue = declared.gauge("queue_length", "Files.", merge="sum_of_living")
    queue.set(5)
    queue.inc(3)
    queue.dec()
    text = scrape(own)
    assert value(text, "mails_total") == 2
    assert [value(text, "order_euros_bucket", le=le) for le in ("10.0", "50.0", "+Inf")] == [0, 1, 1]
    assert value(text, "queue_length") == 7


def test_an_instrument_follows_the_adapter_of_the_process(
    own: MetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "adapter", None)
    mails = declared.counter("mails_total", "Mails sent.")
    monkeypatch.setattr(current, "adapter", own)
    mails.inc()
    monkeypatch.setattr(current, "adapter", InMemoryMetricsAdapter())
    mails.inc(5)
    monkeypatch.setattr(current, "adapter", own)
    mails.inc()
    assert value(scrape(own), "mails_total") == 2


class Unsigned:
    """As numpy's unsigned scalars, whose negative is another large number."""

    def __float__(self) -> float:
        return 0.25

    def __neg__(self) -> float:
        return 255.75


@pytest.mark.parametrize("amount", [Decimal("0.25"), Fraction(1, 4), 0.25, Unsigned()])
def test_every_real_number_is_an_amount(own: MetricsAdapter, amount: Any) -> None:
    declared.counter("weight_total", "Weight.").inc(amount)
    level = declared.gauge("level", "Level.", merge="sum")
    level.inc(amount)
    level.dec(amount)
    level.inc(True)
    text = scrape(own)
    assert value(text, "weight_total") == 0.25
    assert value(text, "level") == 1


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, "3", None, Decimal("NaN")])
def test_wrong_amounts_are_refused(own: MetricsAdapter, amount: Any) -> None:
    with pytest.raises(MetricValueError):
        declared.counter("weight_total", "Weight.").inc(amount)
    with pytest.raises(MetricValueError):
        declared.histogram("wait_seconds", "Wait.").observe(amount)
    assert value(scrape(own), "weight_total") == 0


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
def test_nothing_can_be_added_to_a_gauge_that_would_spoil_it_for_ever(
    own: MetricsAdapter, amount: float
) -> None:
    level = declared.gauge("level", "Level.", merge="sum")
    level.inc(2)
    for change in (level.inc, level.dec):
        with pytest.raises(MetricValueError, match="cannot be added to a gauge"):
            change(amount)
    assert value(scrape(own), "level") == 2


@pytest.mark.parametrize("amount", ["3", None, [], object()])
def test_gauge_refuses_values_that_are_not_numbers(own: MetricsAdapter, amount: Any) -> None:
    level = declared.gauge("level", "Level.", merge="sum")
    for change in (level.set, level.inc, level.dec):
        with pytest.raises(MetricValueError):
            change(amount)


WRONG_LABELS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((), {"colour": "red"}),
    ((), {"channel": "web", "colour": "red"}),
    (("web", "red"), {}),
    (("web",), {"channel": "web"}),
]


@pytest.mark.parametrize(("values", "labels"), WRONG_LABELS)
def test_wrong_labels_are_refused(own: MetricsAdapter, values: Any, labels: Any) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    with pytest.raises(MetricLabelsError, match=r"it has the labels \['channel'\]"):
        orders.labels(*values, **labels)
    with pytest.raises(MetricLabelsError, match="channel"):
        orders.inc()


def test_label_values_that_are_equal_and_written_otherwise_are_other_series(own: MetricsAdapter) -> None:
    jobs = declared.counter("jobs_total", "Jobs.", labels=("code",))
    for code in (1, True, 1.0, "1"):
        jobs.labels(code=code).inc()
    text = scrape(own)
    assert [value(text, "jobs_total", code=code) for code in ("1", "True", "1.0")] == [2, 1, 1]


def test_a_gauge_that_shows_the_last_value_refuses_to_be_moved(own: MetricsAdapter) -> None:
    level = declared.gauge("level", "Level.")
    level.set(3)
    with pytest.raises(MetricKindError, match="merge='sum_of_living'"):
        level.inc()
    assert value(scrape(own), "level") == 3


@pytest.mark.parametrize("merge", sorted(declared.MERGES))
def test_a_gauge_of_one_process_shows_its_value_however_it_is_merged(own: MetricsAdapter, merge: str) -> None:
    declared.gauge("level", "Level.", labels=("tank",), merge=merge).labels(tank="a").set(-3)
    assert value(scrape(own), "level", tank="a") == -3


def test_a_timer_records_each_call_of_any_function(own: MetricsAdapter) -> None:
    took = declared.histogram("job_seconds", "Time of a job.")

    @took.time()
    def work(depth: int) -> int:
        return depth if depth == 0 else work(depth - 1)

    @took.time()
    async def work_async() -> str:
        await asyncio.sleep(0)
        return "done"

    assert work(2) == 0
    assert asyncio.run(work_async()) == "done"
    with pytest.raises(ZeroDivisionError), took.time():
        raise ZeroDivisionError
    last = declared.gauge("last_job_seconds", "Time of the last job.")
    with last.time():
        time.sleep(0.01)
    text = scrape(own)
    assert value(text, "job_seconds_count") == 3 + 1 + 1
    assert value(text, "last_job_seconds") >= 0.01


def test_exceptions_are_counted_by_type_where_asked(own: MetricsAdapter) -> None:
    failures = declared.counter("failures_total", "Failures.", labels=("source", "exception"))
    lost = declared.counter("lost_total", "Lost.")

    @failures.count_exceptions(OSError, ValueError, by="exception", source="ftp")
    @lost.count_exceptions()
    def fail(error: BaseException | None) -> None:
        if error:
            raise error

    fail(None)
    for error in (ValueError("a"), FileNotFoundError("b"), KeyError("c"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(error)
    text = scrape(own)
    found = samples(text)["failures_total"]
    assert {dict(labels)["exception"] for labels in found} == {"ValueError", "FileNotFoundError"}
    assert value(text, "failures_total", source="ftp") == 2
    assert value(text, "lost_total") == 3


def test_gauges_track_progress_and_the_current_time(own: MetricsAdapter) -> None:
    busy = declared.gauge("busy", "Jobs that run.", merge="sum_of_living")
    seen = declared.gauge("last_seen_seconds", "When it was last seen.")
    before = time.time()
    with busy.track_inprogress(), busy.track_inprogress():
        seen.set_to_current_time()
        assert value(scrape(own), "busy") == 2
    text = scrape(own)
    assert value(text, "busy") == 0
    assert before <= value(text, "last_seen_seconds") <= time.time()


def test_nothing_is_lost_between_threads(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    busy = declared.gauge("busy", "Jobs that run.", merge="sum_of_living")

    def work(_number: int) -> None:
        for _ in range(300):
            with busy.track_inprogress():
                orders.labels(channel="web").inc()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    text = scrape(own)
    assert value(text, "shop_orders_total") == 2400
    assert value(text, "busy") == 0


def test_gauges_are_read_at_the_scrape(own: MetricsAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "_scrape_gauges", [])
    queue = declared.gauge("queue_length", "Files.", labels=("kind",))

    @declared.read_at_scrape
    def read_queue() -> list[GaugeSample]:
        return [queue.sample(4, kind="image"), queue.sample(2, "text")]

    assert len(read_queue()) == 2
    text = scrape(own)
    assert value(text, "queue_length", kind="image") == 4
    assert value(text, "queue_length", kind="text") == 2
