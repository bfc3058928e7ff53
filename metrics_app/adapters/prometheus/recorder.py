"""Records a request under one lock with a few writes; a series is bound once per method, route and code."""

from bisect import bisect_left
from collections.abc import Mapping
from time import perf_counter
from typing import cast

from metrics_app.adapters.families import Families
from metrics_app.adapters.prometheus.exemplars import ExemplarRecord
from metrics_app.adapters.prometheus.mapped_cells import MappedCell
from metrics_app.adapters.prometheus.slot_files import SlotFiles
from metrics_app.adapters.prometheus.values import Cell, CellSeries, HistogramCells, UnrecordedCell
from metrics_app.catalogue import (
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_REQUESTS_IN_PROGRESS,
    Kind,
)
from metrics_app.recorders import RequestKey

MIN_ERROR_CODE = 400

Bound = tuple[CellSeries, CellSeries, CellSeries | None]
"""The requests, their durations and, for an error, the errors."""
MappedBound = tuple[
    MappedCell, MappedCell, tuple[float, ...], list[MappedCell], MappedCell, MappedCell | None
]
"""Requests in progress, requests, bounds, buckets and sum of their durations, and errors where it is one."""


class SlotRequestRecorder:
    def __init__(self, files: SlotFiles, families: Families[CellSeries]) -> None:
        self._files = files
        self._families = families
        self._bound: dict[RequestKey, Bound] = {}
        self._in_progress: dict[str, CellSeries] = {}
        self._unrecorded: dict[str, UnrecordedCell] = {}
        self.exemplars: ExemplarRecord | None = None
        """Those of the slot that this process holds, as soon as it holds one."""

    def forget(self) -> None:
        """Forget every cell: they are in the files of a slot that this process does not hold."""
        self._bound = {}
        self._in_progress = {}
        self._unrecorded = {}
        self.exemplars = None

    def in_progress(self) -> dict[str, float]:
        """How many requests of each method have begun but not ended."""
        cells = {**self._in_progress, **self._unrecorded}
        return {method: cast("Cell", cell).value for method, cell in cells.items()}

    def carry_on(self, in_progress: Mapping[str, float]) -> None:
        """After `forget` in the same process, take over requests that have not ended."""
        self._unrecorded = {method: UnrecordedCell(number) for method, number in in_progress.items()}

    def begin(self, method: str) -> None:
        with self._files.lock:
            self._move_in_progress(method, 1.0)

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str = "",
        ended: float | None = None,
    ) -> None:
        if (ended or perf_counter()) >= self._families.next_look:
            self._families.look()
        requests, durations, errors = self._bound.get(request) or self._bind(request)
        with self._files.lock:
            requests.add(1.0)
            durations.add(seconds)
            self._move_in_progress(request[0], -1.0)
            if errors is not None:
                errors.add(1.0)
            if trace_id and self.exemplars is not None and request in self._bound:
                self.exemplars.store(*request, seconds, trace_id)

    def cancel(self, method: str) -> None:
        with self._files.lock:
            self._move_in_progress(method, -1.0)

    def _move_in_progress(self, method: str, step: float) -> None:
        cell = self._in_progress.get(method) or self._bind_method(method)
        cell.add(step)

    def _bind_method(self, method: str) -> CellSeries:
        cell, own = self._families.locate(Kind.GAUGE, HTTP_REQUESTS_IN_PROGRESS, {"method": method})
        if isinstance(cell, UnrecordedCell):
            # A request that begins on a full disk may end when there is room: both are counted, or neither.
            return self._unrecorded.setdefault(method, cell)
        if method in self._unrecorded:
            cell.add(self._unrecorded.pop(method).value)
        if own:
            self._in_progress[method] = cell
        return cell

    def _bind(self, request: RequestKey) -> Bound:
        method, route, code = request
        labels = {"method": method, "route": route, "code": str(int(code))}
        requests, own = self._families.locate(Kind.COUNTER, HTTP_REQUESTS, labels)
        durations, own_durations = self._families.locate(Kind.HISTOGRAM, HTTP_REQUEST_DURATION, labels)
        errors, own_errors = None, True
        if code >= MIN_ERROR_CODE:
            errors, own_errors = self._families.locate(Kind.COUNTER, HTTP_REQUEST_ERRORS, labels)
        bound = requests, durations, errors
        # A recording for the overflow series, or for none, is looked up each time, so that it is counted each
        # time and this cache stays as bounded as the series.
        if own and own_durations and own_errors:
            self._bound[request] = bound
        return bound


class MappedRequestRecorder(SlotRequestRecorder):
    """The same without a lock and without a call for each cell, if the cells are in a memory map.

    Both are most of what recording costs. `interpreter` says why no lock is needed.
    """

    def __init__(self, files: SlotFiles, families: Families[CellSeries]) -> None:
        super().__init__(files, families)
        self._mapped: dict[RequestKey, MappedBound] = {}
        self._mapped_in_progress: dict[str, MappedCell] = {}

    def forget(self) -> None:
        super().forget()
        self._mapped = {}
        self._mapped_in_progress = {}

    def begin(self, method: str) -> None:
        try:
            cell = self._mapped_in_progress[method]
        except KeyError:
            super().begin(method)
            return
        cell.value += 1.0
        cell.view[cell.index] = cell.value

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str = "",
        ended: float | None = None,
    ) -> None:
        if (ended or perf_counter()) >= self._families.next_look:
            self._families.look()
        bound = self._mapped.get(request)
        if bound is None or trace_id:
            super().finish(request, seconds, trace_id, ended)
            self._map(request)
            return
        in_progress, requests, bounds, buckets, total, errors = bound
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

    def find_mapped(self, request: RequestKey) -> MappedBound | None:
        """The cells of such requests, after the first one; None if they are not in a memory map."""
        return self._mapped.get(request)

    def _bind_method(self, method: str) -> CellSeries:
        cell = super()._bind_method(method)
        if type(cell) is MappedCell and method in self._in_progress:
            self._mapped_in_progress[method] = cell
        return cell

    def _map(self, request: RequestKey) -> None:
        bound, in_progress = self._bound.get(request), self._in_progress.get(request[0])
        if bound is None or in_progress is None:
            return
        requests, durations, errors = bound
        if type(durations) is not HistogramCells:
            return  # native histograms have further buckets
        cells = (in_progress, requests, durations.bounds, durations.buckets, durations.sum, errors)
        self._mapped[request] = cast("MappedBound", cells)
