"""A small site, measured by the library that the environment selects.

`MEASURED_BY` is a key of MIDDLEWARE. With `PROMETHEUS_MULTIPROC_DIR` the libraries that can write to
files for many processes do so; this product always does, there or in a temporary directory.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from time import thread_time
from typing import Any

import django
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import override_settings
from django.urls import include, path

from benchmarks.peers.names import (
    DJANGO_PROMETHEUS,
    NOTHING,
    OPENTELEMETRY,
    OURS,
    OURS_DETAILED,
    OURS_RED,
    PLAIN,
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# Nothing else stands in the way: the product's request ids, for one, are left out, for no peer has them.
MIDDLEWARE = {
    NOTHING: [],
    PLAIN: ["benchmarks.peers.plain.PlainMiddleware"],
    DJANGO_PROMETHEUS: [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
    OPENTELEMETRY: [],
    OURS: ["metrics_app.middleware.RequestMetricsMiddleware"],
    OURS_DETAILED: ["metrics_app.middleware.RequestMetricsMiddleware"],
    OURS_RED: ["benchmarks.peers.red.red_middleware"],
}
DETAILS = ("sizes", "first_byte", "exceptions", "queries")
MEASURED_BY = os.environ.get("MEASURED_BY", NOTHING)


def view(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"ok")


def missing(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's name
    return HttpResponse(b"missing", status=404)


urlpatterns = [path("", view, name="home"), path("own-metrics", include("metrics_app.urls"))]
handler404 = missing


def configure() -> None:
    """Set Django up, with the library's own set-up where it has one."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp()
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=MIDDLEWARE[MEASURED_BY],
        INSTALLED_APPS=["django_prometheus"] if MEASURED_BY == DJANGO_PROMETHEUS else ["metrics_app"],
        METRICS_BACKEND="metrics_app.adapters.prometheus.PrometheusMetricsAdapter",
        METRICS_MAX_LABEL_SETS=2000,
        METRICS_COUNT_SCRAPES=False,
        METRICS_TOKEN="",
        METRICS_ALLOWED_NETWORKS=(),
        PROMETHEUS_MULTIPROC_DIR=directory,
        METRICS={"REQUEST_DETAILS": DETAILS if MEASURED_BY == OURS_DETAILED else ()},
        SERVICE_NAME="shop",
        SERVICE_INSTANCE_NAME="shop-1",
        SERVICE_VERSION="1.0",
        LOGGING_CONFIG=None,
    )
    django.setup()
    logging.disable()  # nobody's time goes into lines about requests
    if MEASURED_BY == OPENTELEMETRY:
        _instrument()


def handler(middleware: list[str]) -> GetResponse:
    """What Django's handler does with a request, without a server."""
    with override_settings(MIDDLEWARE=middleware):
        made = BaseHandler()
        made.load_middleware()
    answer: GetResponse = made.get_response
    return answer


def wsgi() -> Callable[..., object]:
    """The application for a server; what is asked with the query "without" is not measured."""
    configure()
    measured = get_wsgi_application()
    with override_settings(MIDDLEWARE=[]):
        plain = WSGIHandler()

    def answer(environ: dict[str, Any], start_response: Any) -> object:
        chosen = plain if environ["QUERY_STRING"].startswith("without") else measured
        return chosen(environ, start_response)

    return answer


def seconds_per_request(answer: GetResponse, requests: Sequence[HttpRequest]) -> float:
    """Of processor time: what else the machine does makes it no longer."""
    start = thread_time()
    for request in requests:
        answer(request)
    return (thread_time() - start) / len(requests)


def _instrument() -> None:
    """OpenTelemetry's metrics of requests, as its documentation sets them up; no traces are recorded."""
    from opentelemetry import metrics  # noqa: PLC0415 - installed in the benchmark's environment alone
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
    from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415

    metrics.set_meter_provider(MeterProvider(metric_readers=[PrometheusMetricReader()]))
    DjangoInstrumentor().instrument()
