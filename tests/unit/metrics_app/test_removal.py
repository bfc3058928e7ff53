"""Series that are removed vanish, and begin at zero when they come back: by every adapter."""

from typing import Any

import pytest

from metrics_app import metrics as declared
from metrics_app.ports import MetricLabelsError, MetricsAdapter
from tests.exposition import samples, value

pytestmark = pytest.mark.usefixtures("own")


def scrape(metrics: MetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def test_a_removed_series_vanishes_and_begins_at_zero(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    web, shop = orders.labels("web"), orders.labels("shop")
    web.inc(5)
    shop.inc(2)
    orders.remove(channel="web")
    text = scrape(own)
    assert samples(text)["shop_orders_total"].popitem()[1] == value(text, "shop_orders_total", channel="shop")
    web.inc(3)
    text = scrape(own)
    assert value(text, "shop_orders_total", channel="web") == 3
    assert value(text, "shop_orders_total", channel="shop") == 2


def test_all_series_of_a_metric_are_cleared_and_no_others(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    other = declared.counter("shop_orders_lost_total", "Orders lost.", labels=("channel",))
    for series in (orders.labels("web"), orders.labels("shop"), other.labels("web")):
        series.inc()
    orders.clear()
    text = scrape(own)
    assert "shop_orders_total" not in samples(text)
    assert value(text, "shop_orders_lost_total") == 1
    orders.labels("web").inc()
    assert value(scrape(own), "shop_orders_total") == 1


@pytest.mark.parametrize("merge", sorted(declared.MERGES))
def test_a_removed_gauge_vanishes_until_it_is_set_again(own: MetricsAdapter, merge: str) -> None:
    level = declared.gauge("level", "Level.", labels=("tank",), merge=merge)
    level.labels("a").set(5)
    level.labels("b").set(1)
    level.remove("a")
    assert len(samples(scrape(own))["level"]) == 1
    level.labels("a").set(5)
    assert value(scrape(own), "level", tank="a") == 5
    level.remove("a")
    if not merge.startswith("last"):
        level.labels("a").inc()
        assert value(scrape(own), "level", tank="a") == 1


def test_a_removed_histogram_counts_from_zero_in_every_bucket(own: MetricsAdapter) -> None:
    took = declared.histogram("job_seconds", "Time.", labels=("job",), buckets=(1, 2))
    for seconds in (0.5, 1.5, 5.0):
        took.labels("a").observe(seconds)
        took.labels("b").observe(seconds)
    scrape(own)
    took.remove("a")
    text = scrape(own)
    assert {dict(labels)["job"] for labels in samples(text)["job_seconds_count"]} == {"b"}
    took.labels("a").observe(1.5)
    text = scrape(own)
    buckets = [value(text, "job_seconds_bucket", job="a", le=le) for le in ("1.0", "2.0", "+Inf")]
    assert buckets == [0, 1, 1]
    assert value(text, "job_seconds_sum", job="a") == 1.5
    assert value(text, "job_seconds_count", job="b") == 3


def test_removing_makes_room_for_other_label_sets(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("customer",))
    for customer in range(20):
        orders.labels(customer).inc()
        orders.remove(customer)
    orders.labels("last").inc()
    text = scrape(own)
    assert value(text, "shop_orders_total", customer="last") == 1
    assert value(text, "metrics_dropped_series_total") == 0


def test_removing_an_unknown_series_is_silent(own: MetricsAdapter) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    orders.remove("web")
    orders.clear()
    own.clear("nothing_total")
    assert "shop_orders_total" not in samples(scrape(own))


@pytest.mark.parametrize(("values", "labels"), [((), {}), (("a", "b"), {}), ((), {"colour": "red"})])
def test_wrong_labels_remove_nothing(own: MetricsAdapter, values: Any, labels: Any) -> None:
    orders = declared.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    orders.labels("web").inc()
    with pytest.raises(MetricLabelsError):
        orders.remove(*values, **labels)
    assert value(scrape(own), "shop_orders_total") == 1
