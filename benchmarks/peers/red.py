"""This product's middleware without the gauge of requests in progress: only rate, errors and duration."""

from benchmarks.peers.site import GetResponse
from metrics_app.adapters.prometheus.recorder import SlotRequestRecorder
from metrics_app.middleware import RequestMetricsMiddleware


class RedRecorder(SlotRequestRecorder):
    def begin(self, method: str) -> None:
        pass

    def finish(
        self,
        method: str,
        route: str,
        code: int,
        seconds: float,
        trace_id: str = "",  # noqa: ARG002 - the port's
        *,
        ended: float | None = None,  # noqa: ARG002 - as above
    ) -> None:
        bound = self._bound.get((method, route, code)) or self._bind(method, route, code)
        requests, durations, errors = bound
        with self._files.lock:
            requests.add(1.0)
            durations.add(seconds)
            if errors is not None:
                errors.add(1.0)


class RedMiddleware(RequestMetricsMiddleware):
    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        whole = self._recorder
        assert isinstance(whole, SlotRequestRecorder)
        self._recorder = RedRecorder(whole._files, whole._families)  # noqa: SLF001 - a variant for comparison
