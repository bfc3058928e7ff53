"""Collectors of libraries that no file can hold, read in the process that is scraped.

These are custom collectors, `Info`, `Enum`, and gauges that call a function: each process has them, and those
of the process that answers are exposed. `runtime` exposes prometheus_client's process metrics for every
worker instead.
"""

import logging
from collections.abc import Callable, Iterable

from prometheus_client import GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector

from metrics_app.adapters.prometheus import upstream
from metrics_app.adapters.prometheus.snapshot import Family, Snapshot

logger = logging.getLogger(__name__)

LEFT_TO_OTHERS = (GCCollector, MultiProcessCollector, PlatformCollector, ProcessCollector)


class LibraryCollectors:
    """`is_exposed` returns whether this adapter exposes what libraries record."""

    def __init__(self, is_exposed: Callable[[], bool]) -> None:
        self._is_exposed = is_exposed
        self._reported: set[str] = set()

    def snapshots(self) -> Iterable[Snapshot]:
        if not self._is_exposed():
            return
        for collector in upstream.collectors_without_files():
            if isinstance(collector, LEFT_TO_OTHERS):
                continue
            try:
                metrics = list(collector.collect())
            except Exception as error:  # noqa: BLE001 - whatever another library raises
                self._report(collector, error)
                continue
            for metric in metrics:
                yield _collected(metric)

    def _report(self, collector: object, error: Exception) -> None:
        name = type(collector).__qualname__
        if name not in self._reported:
            self._reported.add(name)
            logger.warning("%s is left out of scrapes: %s: %s", name, type(error).__name__, error)


def _collected(metric: Metric) -> Snapshot:
    series = [(sample.name, tuple(sample.labels.items())) for sample in metric.samples]
    family = Family(metric.name, metric.documentation, metric.type, series, is_library=True, collected=metric)
    return Snapshot(family, [sample.value for sample in metric.samples])
