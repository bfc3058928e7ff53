"""Every adapter, for the contract they share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from metrics_app import current
from metrics_app import metrics as declared
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.names import FIXED
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.catalogue import CATALOGUE
from metrics_app.ports import MetricsAdapter, MetricsLabels, MetricsOptions
from metrics_app.recorders import HttpHandler
from tests.otlp_receiver import Receiver


class ReceivedMetricsAdapter(OpenTelemetryMetricsAdapter):
    """Answers a scrape with what a receiver got, because the metrics are there then."""

    receiver: Receiver

    def get_http_handler(self) -> HttpHandler:  # type: ignore[override]
        return self

    def __call__(self, _accept: str = "", /) -> bytes:
        assert self.push_now(30)
        return self.receiver.exposition()

    def content_type(self, _accept: str = "", /) -> str:
        return "text/plain"


ADAPTERS: list[type[MetricsAdapter]] = [
    InMemoryMetricsAdapter,
    PrometheusMetricsAdapter,
    cast("type[MetricsAdapter]", ReceivedMetricsAdapter),  # its handler is another kind than its base's
]


@pytest.fixture
def options(tmp_path: Path) -> MetricsOptions:
    return MetricsOptions(
        constant_labels=MetricsLabels(service="shop", instance="shop-1", version="2.0"),
        directory=tmp_path / "metrics",
        max_label_sets=3,
    )


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield receiver


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def metrics(request: pytest.FixtureRequest, options: MetricsOptions) -> Iterator[MetricsAdapter]:
    if request.param is ReceivedMetricsAdapter:
        ReceivedMetricsAdapter.receiver = request.getfixturevalue("receiver")
    adapter: MetricsAdapter = request.param.configured(options)
    yield adapter
    adapter.close()


@pytest.fixture
def prometheus(options: MetricsOptions) -> Iterator[PrometheusMetricsAdapter]:
    adapter = PrometheusMetricsAdapter.configured(options)
    yield adapter
    adapter.close()


@pytest.fixture
def declarations() -> Iterator[None]:
    """What a test declares is forgotten afterwards."""
    registries: tuple[dict[str, Any], ...] = (CATALOGUE, FIXED, declared._instruments, declared._places)
    kept = [(registry, dict(registry)) for registry in registries]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)


@pytest.fixture
def own(metrics: MetricsAdapter, declarations: None, monkeypatch: pytest.MonkeyPatch) -> MetricsAdapter:
    """The adapter to which declared metrics hand on what they record."""
    monkeypatch.setattr(current, "adapter", metrics)
    return metrics
