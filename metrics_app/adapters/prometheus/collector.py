"""Merges the files of all slots, as prometheus_client's own collector does, and survives broken ones."""

import glob
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from metrics_app.adapters.prometheus.files import FILE_NAME, Key, UnreadableFileError, entries, parsed
from metrics_app.catalogue import CATALOGUE, SKIPPED_FILES

MERGE_MODE = "_multiprocess_mode"


class SlotCollector(MultiProcessCollector):
    """The stock collector, except for files that it would fail on: they are skipped and counted."""

    def __init__(self, directory: Path) -> None:
        super().__init__(None, str(directory))  # type: ignore[no-untyped-call]
        self._keys: dict[str, Key] = {}

    def collect(self) -> Iterable[Metric]:
        metrics, skipped = self._read()
        yield from self._accumulate_metrics(metrics, accumulate=True)  # type: ignore[no-untyped-call]
        gauge = GaugeMetricFamily(SKIPPED_FILES, CATALOGUE[SKIPPED_FILES].help, labels=["reason"])
        for reason in ("empty", "truncated", "foreign"):
            gauge.add_metric([reason], skipped[reason])
        yield gauge

    def _read(self) -> tuple[dict[str, Metric], Counter[str]]:
        """The unmerged samples of all files by metric, and how many files were skipped by reason."""
        metrics: dict[str, Metric] = {}
        skipped: Counter[str] = Counter()
        seen: dict[str, Key] = {}
        # In the stock collector's order: sums of floats and ties of timestamps depend on it.
        for path in glob.glob(f"{glob.escape(self._path)}/*.db"):  # noqa: PTH207
            try:
                self._read_file(Path(path), metrics, seen)
            except UnreadableFileError as error:
                skipped[str(error)] += 1
        # Only keys that are still in the files are kept from scrape to scrape.
        self._keys = seen
        return metrics, skipped

    def _read_file(self, path: Path, metrics: dict[str, Metric], seen: dict[str, Key]) -> None:
        name = FILE_NAME.fullmatch(path.name)
        if name is None:
            raise UnreadableFileError("foreign")
        samples = entries(path)
        keys = [self._key(text) for text, _, _ in samples]
        kind = name["type"] or "gauge"
        for (text, value, timestamp), key in zip(samples, keys, strict=True):
            seen[text] = key
            metric = metrics.get(key.metric)
            if metric is None:
                metric = metrics[key.metric] = Metric(key.metric, key.help, kind)
            # Until they are merged, samples have their labels as a tuple.
            labels = tuple(sorted(key.labels.items()))
            if kind == "gauge":
                # The accumulation reads how to merge from the metric, and the process from a label.
                setattr(metric, MERGE_MODE, name["mode"])
                labels = (*labels, ("pid", name["process"]))
                metric.samples.append(Sample(key.sample, labels, value, timestamp))  # type: ignore[arg-type]
            else:
                metric.samples.append(Sample(key.sample, labels, value))  # type: ignore[arg-type]

    def _key(self, text: str) -> Key:
        return self._keys.get(text) or parsed(text)
