"""The same metrics in a straightforward implementation."""

from time import perf_counter

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Gauge, Histogram

from benchmarks.peers.site import GetResponse

NAMES = ("method", "route", "code")
REQUESTS = Counter("plain_requests", "Requests.", NAMES)
ERRORS = Counter("plain_errors", "Errors.", NAMES)
DURATION = Histogram("plain_seconds", "Durations.", NAMES)
IN_PROGRESS = Gauge("plain_in_progress", "In progress.", ["method"], multiprocess_mode="livesum")


class PlainMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        method = request.method or ""
        IN_PROGRESS.labels(method=method).inc()
        start = perf_counter()
        response = self._get_response(request)
        seconds = perf_counter() - start
        match = request.resolver_match
        labels = {
            "method": method,
            "route": match.view_name if match else "unmatched",
            "code": str(response.status_code),
        }
        REQUESTS.labels(**labels).inc()
        DURATION.labels(**labels).observe(seconds)
        if response.status_code >= 400:
            ERRORS.labels(**labels).inc()
        IN_PROGRESS.labels(method=method).dec()
        return response
