"""The OpenTelemetry adapter, and the receiver that it pushes to."""

from collections.abc import Iterator

import pytest

from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.ports import MetricsOptions
from tests.otlp_receiver import Receiver


@pytest.fixture
def pushing(receiver: Receiver, options: MetricsOptions) -> Iterator[OpenTelemetryMetricsAdapter]:
    """An adapter whose receiver is there."""
    adapter = OpenTelemetryMetricsAdapter.configured(options)
    yield adapter
    adapter.close()
