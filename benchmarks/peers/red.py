"""This product's middleware without the gauge of requests in progress: only rate, errors and duration."""

from bisect import bisect_left

from benchmarks.peers.site import GetResponse
from metrics_app.adapters.prometheus.recorder import MappedRequestRecorder
from metrics_app.middleware import RequestMetricsMiddleware


class RedRecorder(MappedRequestRecorder):
    def begin(self, method: str) -> None:
        pass

    def finish(
        self,
        method: str,
        route: str,
        code: int,
        seconds: float,
        trace_id: str = "",
        *,
        ended: float | None = None,
    ) -> None:
        bound = self._mapped.get((method, route, code))
        if bound is None:
            super().begin(method)
            super().finish(method, route, code, seconds, trace_id, ended=ended)
            return
        if ended is not None and ended >= self._families.next_look:
            self._families.look()
        _, requests, bounds, buckets, total, errors = bound
        bucket = buckets[bisect_left(bounds, seconds)]
        with self._files.lock:
            requests.value = value = requests.value + 1.0
            requests.view[requests.index] = value
            bucket.value = value = bucket.value + 1.0
            bucket.view[bucket.index] = value
            total.value = value = total.value + seconds
            total.view[total.index] = value
            if errors is not None:
                errors.add(1.0)


class RedMiddleware(RequestMetricsMiddleware):
    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        whole = self._recorder
        assert isinstance(whole, MappedRequestRecorder)
        self._recorder = RedRecorder(whole._files, whole._families)  # noqa: SLF001 - a variant for comparison
