"""No two metrics of an adapter are exposed under one name."""

import pytest

from metrics_app.ports import MetricKindError, MetricsAdapter

SPELLINGS = ["orders", "orders_total"]


@pytest.mark.parametrize("counter", SPELLINGS)
@pytest.mark.parametrize("gauge", SPELLINGS)
def test_a_counter_keeps_both_its_names_to_itself(metrics: MetricsAdapter, counter: str, gauge: str) -> None:
    metrics.inc_counter(counter, {})
    with pytest.raises(MetricKindError, match=f"{gauge!r} is used as a gauge, but"):
        metrics.set_gauge(gauge, 1, {})
    metrics.inc_counter(counter, {})


@pytest.mark.parametrize("counter", SPELLINGS)
@pytest.mark.parametrize("gauge", SPELLINGS)
def test_a_gauge_keeps_its_name_to_itself(metrics: MetricsAdapter, counter: str, gauge: str) -> None:
    metrics.set_gauge(gauge, 1, {})
    with pytest.raises(MetricKindError, match=f"{counter!r} is used as a counter, but"):
        metrics.inc_counter(counter, {})
