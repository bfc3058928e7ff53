"""Writes the exposition: everything that is collected, with the constant labels on every sample."""

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily

from metrics_app.adapters.scrape_gauges import ScrapeGaugeSources


class ScrapeGaugeCollector:
    def __init__(self, sources: ScrapeGaugeSources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        for definition, sample in self._sources.read():
            metric = found.setdefault(sample.name, GaugeMetricFamily(sample.name, definition.help))
            metric.add_sample(sample.name, dict(sample.labels), sample.value)
        return found.values()


class LabelledRegistry:
    """What a registry collects, with the constant labels.

    They are not stored, so a new version of the service does not bring back the series of the old one.
    """

    def __init__(self, registry: CollectorRegistry, constant_labels: Mapping[str, str]) -> None:
        self._registry = registry
        self._constant_labels = constant_labels

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, **self._constant_labels})
                for sample in metric.samples
            ]
            yield metric


class Exposition:
    """The handler that answers a scrape; `finished` hears how many seconds each one took."""

    def __init__(
        self, registry: LabelledRegistry, started: Callable[[], None], finished: Callable[[float], None]
    ) -> None:
        self._registry = registry
        self._started = started
        self._finished = finished

    def __call__(self, accept: str = "", /) -> bytes:
        start = perf_counter()
        self._started()
        encode, _ = _encoder(accept)
        text = encode(self._registry)
        self._finished(perf_counter() - start)
        return text

    def content_type(self, accept: str = "", /) -> str:
        return _encoder(accept)[1]


def _encoder(accept: str) -> tuple[Callable[[LabelledRegistry], bytes], str]:
    """How to write what this `Accept` header asks for, and its content type."""
    try:
        return choose_encoder(accept)
    except TypeError:
        # A version that is no number, as in 'text/plain; version=new', cannot be compared.
        return choose_encoder("")
