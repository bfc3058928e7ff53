"""Recordings by name, which go to the cells of the slot that this process holds."""

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import cast

from prometheus_client.utils import floatToGoString

from metrics_app.adapters.conversion import to_amount, to_number
from metrics_app.adapters.families import Families
from metrics_app.adapters.prometheus.mapped_histograms import MappedHistograms
from metrics_app.adapters.prometheus.series_exemplars import Exemplar, find_series
from metrics_app.adapters.prometheus.slot_files import SlotFiles, family_name
from metrics_app.adapters.prometheus.values import Cell, CellSeries
from metrics_app.catalogue import Kind
from metrics_app.ports import Labels
from metrics_app.recorders import BoundCounter, BoundGauge, BoundHistogram, BoundHistograms


class SlotRecordings:
    """The recording half of the port."""

    _families: Families[CellSeries]
    _files: SlotFiles
    _is_mapped: bool

    def inc_counter(self, name: str, labels: Labels) -> None:
        series = self._families.series(Kind.COUNTER, name, labels)
        with self._files.lock:
            series.add(1.0)

    def observe_histogram(self, name: str, value: float, labels: Labels) -> None:
        amount = to_amount(value)
        series = self._families.series(Kind.HISTOGRAM, name, labels)
        with self._files.lock:
            series.add(amount)

    def set_gauge(self, name: str, value: float, labels: Labels) -> None:
        number = to_number(value)
        series = self._families.series(Kind.GAUGE, name, labels)
        with self._files.lock:
            cast("Cell", series).set(number)

    def bind_counter(self, name: str, labels: Labels) -> BoundCounter:
        return self._families.bound(Kind.COUNTER, name, labels)

    def bind_histogram(self, name: str, labels: Labels) -> BoundHistogram:
        return self._families.bound(Kind.HISTOGRAM, name, labels)

    def bind_histograms(self, series: Sequence[tuple[str, Labels]]) -> BoundHistograms:
        made = self._families.bound_histograms(series)
        return MappedHistograms(self._families, series) if self._is_mapped else made

    def bind_gauge(self, name: str, labels: Labels) -> BoundGauge:
        return self._families.bound_gauge(name, labels)

    def note_exemplar(self, name: str, labels: Labels, value: float, exemplar: Mapping[str, str]) -> None:
        definition = self._families.find_definition(name)
        texts = self._families.written_labels(definition, labels) if definition else None
        if definition is None or texts is None:
            return
        family = family_name(definition)
        if definition.kind is Kind.HISTOGRAM:
            bounds = (*definition.find_buckets(tuple(texts.values())), float("inf"))
            bound = floatToGoString(bounds[bisect_left(bounds, value)])
            series = find_series(f"{family}_bucket", {**texts, "le": bound})
        else:
            series = find_series(f"{definition.name.removesuffix('_total')}_total", texts)
        self._files.note_exemplar(Exemplar(family, series, exemplar, value, time.time()))
