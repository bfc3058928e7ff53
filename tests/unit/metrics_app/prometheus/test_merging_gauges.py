"""How the values of several processes become one, while they run and when one of them was killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.catalogue import CATALOGUE, Definition, Kind, Merge
from tests.exposition import value
from tests.other_process import OtherProcess

# Merge, the value of 3 here and 5 there, and that after the other process was killed.
MERGED = [
    (Merge.LAST, 5, 5),
    (Merge.LAST_OF_LIVING, 5, 3),
    (Merge.SUM, 8, 8),
    (Merge.SUM_OF_LIVING, 8, 3),
    (Merge.MAX, 5, 5),
    (Merge.MAX_OF_LIVING, 5, 3),
    (Merge.MIN, 3, 3),
    (Merge.MIN_OF_LIVING, 3, 3),
]


@pytest.fixture(autouse=True)
def _undeclared_afterwards() -> Iterator[None]:
    yield
    CATALOGUE.pop("depth", None)


@pytest.mark.parametrize(("merge", "of_both", "of_one"), MERGED)
def test_a_gauge_of_two_processes_has_one_value(
    directory: Path, metrics: PrometheusMetricsAdapter, merge: Merge, of_both: float, of_one: float
) -> None:
    CATALOGUE["depth"] = Definition("depth", Kind.GAUGE, "Depth.", merge=merge)
    metrics.set_gauge("depth", 3, {})
    with OtherProcess(directory) as other:
        other.run("from metrics_app import current, metrics as own")
        other.run("current.adapter = metrics")
        other.run(f"depth = own.gauge('depth', 'Depth.', merge={merge.name.lower()!r})")
        other.run("depth.set(5)")
        assert value(metrics.get_http_handler()(), "depth") == of_both
    assert value(metrics.get_http_handler()(), "depth") == of_one
