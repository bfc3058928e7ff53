"""Time that measuring adds to a request, in multiprocess mode: this product's middleware and a plain one.

    python -m benchmarks.metrics_request_path [--requests 300] [--rounds 300]

Requests to a trivial view go through Django's handler without a server. In each short round every
variant has its turn, in an order that rotates, and what a variant adds is the difference to the one
without metrics in the same round: a machine that changes its pace between rounds changes both. The
figures are medians over the rounds, with the quartiles; the ratio is of the medians.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

# prometheus_client decides by this, when it is imported, whether the plain middleware writes to files.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="benchmark-plain-")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

import django
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory, override_settings
from django.urls import path
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from rich.console import Console
from rich.table import Table

GetResponse = Callable[[HttpRequest], HttpResponseBase]

WITHOUT = "no metrics"
PLAIN = "plain labels"
OURS = "this product"
MIDDLEWARE = {
    WITHOUT: [],
    PLAIN: [f"{__name__}.PlainMiddleware"],
    OURS: ["metrics_app.middleware.RequestMetricsMiddleware"],
}
NAMES = ("method", "route", "code")
REGISTRY = CollectorRegistry()
REQUESTS = Counter("plain_requests", "Requests.", NAMES, registry=REGISTRY)
ERRORS = Counter("plain_errors", "Errors.", NAMES, registry=REGISTRY)
DURATION = Histogram("plain_seconds", "Durations.", NAMES, registry=REGISTRY)
IN_PROGRESS = Gauge(
    "plain_in_progress", "In progress.", ["method"], registry=REGISTRY, multiprocess_mode="livesum"
)


class PlainMiddleware:
    """The same metrics as one would first write them."""

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


def view(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"ok")


urlpatterns = [path("", view, name="home")]


def handler(middleware: list[str]) -> GetResponse:
    with override_settings(MIDDLEWARE=middleware):
        made = BaseHandler()
        made.load_middleware()
    answer: GetResponse = made.get_response
    return answer


def seconds_per_request(answer: GetResponse, requests: int) -> float:
    made = [RequestFactory().get("/") for _ in range(requests)]
    start = perf_counter()
    for request in made:
        answer(request)
    return (perf_counter() - start) / requests


def measure(requests: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds per request of each variant in each round."""
    handlers = {name: handler(middleware) for name, middleware in MIDDLEWARE.items()}
    found: dict[str, list[float]] = {name: [] for name in handlers}
    for answer in handlers.values():
        seconds_per_request(answer, requests)  # creates the series
    for number in range(rounds):
        names = list(handlers)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            found[name].append(seconds_per_request(handlers[name], requests) * 1e6)
    return found


def show(times: dict[str, list[float]]) -> None:
    table = Table("variant", "µs a request", "µs added", "its quartiles", "than plain")
    added = {
        name: statistics.quantiles(
            [time - without for time, without in zip(of_name, times[WITHOUT], strict=True)], n=4
        )
        for name, of_name in times.items()
    }
    for name, of_name in times.items():
        low, middle, high = added[name]
        ratio = f"{added[PLAIN][1] / middle:.1f} times cheaper" if name == OURS else ""
        table.add_row(
            name, f"{statistics.median(of_name):.1f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}", ratio
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()
    django.setup()
    with (
        tempfile.TemporaryDirectory() as directory,
        override_settings(
            ROOT_URLCONF=__name__,
            PROMETHEUS_MULTIPROC_DIR=Path(directory),
            METRICS_BACKEND="metrics_app.adapters.prometheus.PrometheusMetricsAdapter",
        ),
    ):
        show(measure(arguments.requests, arguments.rounds))
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])


if __name__ == "__main__":
    main()
