"""The assertions that applications make in their tests hold, and fail with a message that helps."""

from collections.abc import Iterator

import pytest

from metrics_app import current, testing
from metrics_app import metrics as declared
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.pytest_plugin import recorded_metrics

__all__ = ["recorded_metrics"]

pytestmark = pytest.mark.usefixtures("declarations")


@pytest.fixture(params=["in memory", "another"])
def _adapter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    in_memory = InMemoryMetricsAdapter()
    monkeypatch.setattr(current, "adapter", in_memory if request.param == "in memory" else None)
    yield
    assert current.adapter is (in_memory if request.param == "in memory" else None)


@pytest.mark.usefixtures("_adapter")
def test_assertions_that_hold_and_assertions_that_do_not() -> None:
    orders = declared.counter("shop_orders_total", "Orders.", labels=("channel", "side"))
    with testing.assert_counted(orders, by=3, channel="web"), testing.assert_not_counted(orders, side="hold"):
        orders.labels("web", "buy").inc(2)
        orders.labels("web", "sell").inc()
        orders.labels("shop", "buy").inc()
    message = (
        r"shop_orders_total\{channel='web'\} was counted 2 times, not 1; counted meanwhile: .*side='buy'\} 2"
    )
    with (
        pytest.raises(AssertionError, match=message),
        testing.assert_counted("shop_orders_total", channel="web"),
    ):
        orders.labels("web", "buy").inc(2)
    with pytest.raises(AssertionError, match="counted meanwhile: nothing"), testing.assert_counted(orders):
        pass
    with pytest.raises(ZeroDivisionError), testing.assert_counted(orders):
        raise ZeroDivisionError


@pytest.mark.usefixtures("_adapter")
def test_values_of_histograms_and_gauges() -> None:
    took = declared.histogram("job_seconds", "Time.", labels=("job",))
    level = declared.gauge("level", "Level.", merge="sum")
    with testing.assert_observed(took, 0.5, 2, job=1), testing.assert_counted(took, by=2, job="1"):
        took.labels(job=1).observe(0.5)
        took.labels("1").observe(2)
    message = r"job_seconds\{job='a'\} observed \[\], not \[1\]"
    with pytest.raises(AssertionError, match=message), testing.assert_observed(took, 1, job="a"):
        took.labels("b").observe(1)
    with pytest.raises(AssertionError, match="level is None, not 1"), testing.assert_set(level, 1):
        pass
    with testing.assert_set(level, 3):
        level.set(3)


def test_the_fixture_holds_what_a_test_records(recorded_metrics: InMemoryMetricsAdapter) -> None:
    declared.counter("shop_orders_total", "Orders.", labels=("channel",)).labels("web").inc(2)
    assert recorded_metrics.value("shop_orders_total", {"channel": "web"}) == 2
