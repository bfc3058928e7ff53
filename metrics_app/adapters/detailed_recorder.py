"""Records requests with more figures than their duration."""

from collections.abc import Callable, Sequence

from metrics_app.catalogue import CATALOGUE
from metrics_app.ports import Labels
from metrics_app.recorders import BoundHistograms, RequestKey, RequestRecorder

Bind = Callable[[Sequence[tuple[str, Labels]]], BoundHistograms]


class RequestHistograms:
    """Histograms by method and route, and by code where they have that label: found by one look-up."""

    def __init__(self, bind: Bind, names: Sequence[str], max_label_sets: int) -> None:
        self._bind = bind
        self._names = names
        self._limit = max_label_sets
        self._bound: dict[RequestKey, BoundHistograms] = {}

    def find(self, request: RequestKey) -> BoundHistograms:
        return self._bound.get(request) or self._find(request)

    def _find(self, request: RequestKey) -> BoundHistograms:
        method, route, code = request
        labels = {"method": method, "route": route, "code": str(int(code))}
        series = [
            (name, {label: labels[label] for label in CATALOGUE[name].label_names}) for name in self._names
        ]
        bound = self._bind(series)
        if len(self._bound) < self._limit:
            self._bound[request] = bound
        return bound


class HistogramsRecorder:
    """Records what a recorder does, and a value for each of the histograms."""

    def __init__(self, recorder: RequestRecorder, histograms: RequestHistograms) -> None:
        self._recorder = recorder
        self._histograms = histograms
        self.begin = recorder.begin
        self.cancel = recorder.cancel

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str,
        values: Sequence[float | None],
        ended: float | None = None,
    ) -> None:
        self._recorder.finish(request, seconds, trace_id, ended)
        self._histograms.find(request).observe(values)
