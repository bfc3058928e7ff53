"""A fixture for pytest, which finds it by itself where the package is installed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from metrics_app.adapters.memory import InMemoryMetricsAdapter


@pytest.fixture
def recorded_metrics() -> Iterator["InMemoryMetricsAdapter"]:
    """What the test records, in memory: `recorded_metrics.value("orders_total", {"channel": "web"})`."""
    # Not before a test asks for it: every run of pytest would import all of it.
    from metrics_app import testing  # noqa: PLC0415

    with testing.recorded_metrics() as recorded:
        yield recorded
