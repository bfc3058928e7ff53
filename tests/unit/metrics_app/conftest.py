"""Every adapter, for the contract they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.ports import MetricsAdapter, MetricsLabels, MetricsOptions

ADAPTERS: list[type[MetricsAdapter]] = [InMemoryMetricsAdapter, PrometheusMetricsAdapter]


@pytest.fixture
def options(tmp_path: Path) -> MetricsOptions:
    return MetricsOptions(
        constant_labels=MetricsLabels(service="shop", instance="shop-1", version="2.0"),
        directory=tmp_path / "metrics",
        max_label_sets=3,
    )


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def metrics(request: pytest.FixtureRequest, options: MetricsOptions) -> Iterator[MetricsAdapter]:
    adapter: MetricsAdapter = request.param.configured(options)
    yield adapter
    adapter.close()


@pytest.fixture
def prometheus(options: MetricsOptions) -> Iterator[PrometheusMetricsAdapter]:
    adapter = PrometheusMetricsAdapter.configured(options)
    yield adapter
    adapter.close()
