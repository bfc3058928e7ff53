"""Records a request under one lock; each series is bound once per method, route and code."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from metrics_app.adapters.families import Families
from metrics_app.adapters.opentelemetry.series import PushedSeries
from metrics_app.catalogue import (
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_REQUESTS_IN_PROGRESS,
    Kind,
)
from metrics_app.recorders import RequestKey

MIN_ERROR_CODE = 400

Bound = tuple[PushedSeries, PushedSeries, PushedSeries | None]
"""The requests, their durations and, for an error, the errors."""


class PushedRequestRecorder:
    def __init__(
        self, families: Families[PushedSeries], lock: Callable[[], AbstractContextManager[bool]]
    ) -> None:
        self._families = families
        self._lock = lock
        self._bound: dict[RequestKey, Bound] = {}
        self._in_progress: dict[str, PushedSeries] = {}

    def forget(self) -> None:
        """Forget every series, because these are no longer pushed."""
        self._bound = {}
        self._in_progress = {}

    def begin(self, method: str) -> None:
        in_progress = self._in_progress.get(method) or self._bind_method(method)
        with self._lock():
            in_progress.add(1.0)

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str = "",  # noqa: ARG002 - no exemplars are pushed
        ended: float | None = None,  # noqa: ARG002 - no look at the clock is due
    ) -> None:
        requests, durations, errors = self._bound.get(request) or self._bind(request)
        in_progress = self._in_progress.get(request[0]) or self._bind_method(request[0])
        durations.add(seconds)
        with self._lock():
            requests.add(1.0)
            in_progress.add(-1.0)
            if errors is not None:
                errors.add(1.0)

    def cancel(self, method: str) -> None:
        in_progress = self._in_progress.get(method) or self._bind_method(method)
        with self._lock():
            in_progress.add(-1.0)

    def _bind_method(self, method: str) -> PushedSeries:
        series, own = self._families.locate(Kind.GAUGE, HTTP_REQUESTS_IN_PROGRESS, {"method": method})
        if own:
            self._in_progress[method] = series
        return series

    def _bind(self, request: RequestKey) -> Bound:
        method, route, code = request
        labels = {"method": method, "route": route, "code": str(int(code))}
        requests, own = self._families.locate(Kind.COUNTER, HTTP_REQUESTS, labels)
        durations, own_durations = self._families.locate(Kind.HISTOGRAM, HTTP_REQUEST_DURATION, labels)
        errors = None
        if code >= MIN_ERROR_CODE:
            errors = self._families.series(Kind.COUNTER, HTTP_REQUEST_ERRORS, labels)
        bound = requests, durations, errors
        # A recording for the overflow series is looked up each time, so that it is counted each time.
        if own and own_durations:
            self._bound[request] = bound
        return bound
