"""One metrics directory, and the adapter of this process that writes to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "metrics"
    path.mkdir()
    return path


@pytest.fixture
def metrics(directory: Path) -> Iterator[PrometheusMetricsAdapter]:
    adapter = PrometheusMetricsAdapter(directory=directory)
    yield adapter
    adapter.close()
