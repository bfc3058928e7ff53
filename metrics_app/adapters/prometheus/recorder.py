"""Records a request in one lock and a few stores: every series is bound once per method, route and code."""

from metrics_app.adapters.families import Families
from metrics_app.adapters.prometheus.exemplars import ExemplarRecord
from metrics_app.adapters.prometheus.slot_files import SlotFiles
from metrics_app.adapters.prometheus.values import CellSeries
from metrics_app.catalogue import (
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_REQUESTS_IN_PROGRESS,
    Kind,
)

LOWEST_ERROR_CODE = 400

Bound = tuple[CellSeries, CellSeries, CellSeries | None]
"""The requests, their durations and, for an error, the errors."""


class SlotRequestRecorder:
    def __init__(self, files: SlotFiles, families: Families[CellSeries]) -> None:
        self._files = files
        self._families = families
        self._bound: dict[tuple[str, str, int], Bound] = {}
        self._in_progress: dict[str, CellSeries] = {}
        self.exemplars: ExemplarRecord | None = None
        """Those of the slot that this process holds, as soon as it holds one."""

    def forget(self) -> None:
        """Let go of every cell: they are in the files of a slot that this process does not hold."""
        self._bound = {}
        self._in_progress = {}
        self.exemplars = None

    def begin(self, method: str) -> None:
        cell = self._in_progress.get(method) or self._bind_method(method)
        with self._files.lock:
            cell.add(1.0)

    def finish(self, method: str, route: str, code: int, seconds: float, trace_id: str = "") -> None:
        requests, durations, errors = self._bound.get((method, route, code)) or self._bind(
            method, route, code
        )
        in_progress = self._in_progress.get(method) or self._bind_method(method)
        with self._files.lock:
            requests.add(1.0)
            durations.add(seconds)
            in_progress.add(-1.0)
            if errors is not None:
                errors.add(1.0)
            if trace_id and self.exemplars is not None and (method, route, code) in self._bound:
                self.exemplars.store(method, route, code, seconds, trace_id)

    def _bind_method(self, method: str) -> CellSeries:
        cell, own = self._families.locate(Kind.GAUGE, HTTP_REQUESTS_IN_PROGRESS, {"method": method})
        if own:
            self._in_progress[method] = cell
        return cell

    def _bind(self, method: str, route: str, code: int) -> Bound:
        labels = {"method": method, "route": route, "code": str(code)}
        requests, own = self._families.locate(Kind.COUNTER, HTTP_REQUESTS, labels)
        durations, own_durations = self._families.locate(Kind.HISTOGRAM, HTTP_REQUEST_DURATION, labels)
        errors = None
        if code >= LOWEST_ERROR_CODE:
            errors = self._families.series(Kind.COUNTER, HTTP_REQUEST_ERRORS, labels)
        bound = requests, durations, errors
        # What went to the overflow series is looked up each time: so it is counted each time, and
        # what is kept here stays as bounded as the series are.
        if own and own_durations:
            self._bound[method, route, code] = bound
        return bound
