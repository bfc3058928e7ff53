"""Several histograms without a lock and without a call for each cell, if the cells are in a memory map.

Both are most of what recording costs. `interpreter` says why no lock is needed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from time import perf_counter
from typing import cast

from metrics_app.adapters.bound import BoundHistograms
from metrics_app.adapters.detailed_recorder import HistogramsRecorder, RequestHistograms
from metrics_app.adapters.families import Families
from metrics_app.adapters.prometheus.mapped_cells import MappedCell
from metrics_app.adapters.prometheus.recorder import MappedBound, MappedRequestRecorder
from metrics_app.adapters.prometheus.values import CellSeries, HistogramCells
from metrics_app.ports import Labels
from metrics_app.recorders import RequestKey

Mapped = tuple[tuple[float, ...], list[MappedCell], MappedCell, MappedCell]
"""Bounds, buckets and sum of a histogram, and which bucket takes zero."""
MappedRequest = tuple[object, *MappedBound, list[Mapped]]
"""The generation of the families, and the cells of a request and of its histograms that were found in it."""


class MappedHistograms(BoundHistograms[CellSeries]):
    __slots__ = ("mapped",)

    def __init__(self, families: Families[CellSeries], series: Sequence[tuple[str, Labels]]) -> None:
        super().__init__(families, series)
        self.mapped: tuple[object, list[Mapped]] = None, []
        """The generation of the families, and the cells that were found in it."""

    def observe(self, values: Sequence[float | None]) -> None:
        families = self._families
        if perf_counter() >= families.next_look:
            families.look()
        generation, mapped = self.mapped
        if generation is not families.generation:
            super().observe(values)
            return
        for (bounds, buckets, total, bucket), value in zip(mapped, values, strict=True):
            # Most requests have no body, and many no query.
            if value:
                total.value += value
                total.view[total.index] = total.value
                bucket = buckets[bisect_left(bounds, value)]  # noqa: PLW2901 - zero's is not its own
            elif value is None:
                continue
            bucket.value += 1.0
            bucket.view[bucket.index] = bucket.value

    def _look_up(self) -> list[CellSeries]:
        found = super()._look_up()
        generation, kept = self._found
        # Native histograms have further buckets, and a series that cannot be written has no cells.
        if all(type(series) is HistogramCells for series in kept):
            self.mapped = generation, [_map(cast("HistogramCells", series)) for series in kept]
        return found


def _map(histogram: HistogramCells) -> Mapped:
    of_zero = histogram.buckets[bisect_left(histogram.bounds, 0.0)]
    return cast("Mapped", (histogram.bounds, histogram.buckets, histogram.sum, of_zero))


class MappedHistogramsRecorder(HistogramsRecorder):
    """The request and all its figures in one call."""

    def __init__(
        self,
        recorder: MappedRequestRecorder,
        histograms: RequestHistograms,
        families: Families[CellSeries],
    ) -> None:
        super().__init__(recorder, histograms)
        self._mapped_recorder = recorder
        self._families = families
        self._mapped: dict[RequestKey, MappedRequest] = {}

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str,
        values: Sequence[float | None],
        ended: float | None = None,
    ) -> None:
        families = self._families
        if (ended or perf_counter()) >= families.next_look:
            families.look()
        known = self._mapped.get(request)
        if known is None or known[0] is not families.generation or trace_id:
            super().finish(request, seconds, trace_id, values, ended)
            self._map(request)
            return
        _, in_progress, requests, bounds, buckets, total, errors, mapped = known
        bucket = buckets[bisect_left(bounds, seconds)]
        requests.value += 1.0
        requests.view[requests.index] = requests.value
        bucket.value += 1.0
        bucket.view[bucket.index] = bucket.value
        total.value += seconds
        total.view[total.index] = total.value
        in_progress.value -= 1.0
        in_progress.view[in_progress.index] = in_progress.value
        if errors is not None:
            errors.value += 1.0
            errors.view[errors.index] = errors.value
        # As `MappedHistograms.observe`, without the call.
        for (bounds, buckets, total, bucket), value in zip(mapped, values):  # noqa: B905 - the argument costs
            if value:
                total.value += value
                total.view[total.index] = total.value
                bucket = buckets[bisect_left(bounds, value)]  # noqa: PLW2901 - zero's is not its own
            elif value is None:
                continue
            bucket.value += 1.0
            bucket.view[bucket.index] = bucket.value

    def _map(self, request: RequestKey) -> None:
        histograms = self._histograms.find(request)
        # Under the lock under which everything is forgotten, so that both belong to one generation.
        with self._families.lock:
            recorded = self._mapped_recorder.find_mapped(request)
            if recorded is not None and isinstance(histograms, MappedHistograms):
                generation, mapped = histograms.mapped
                if generation is self._families.generation:
                    self._mapped[request] = generation, *recorded, mapped
