"""What the settings want of requests beside rate, errors and duration by method, route and code."""

import sys
from collections.abc import Callable, Container, Mapping
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest

from metrics_app import catalogue
from metrics_app.bindings import Bindings, ExtraLabels
from metrics_app.conf import conf
from metrics_app.measured_request import DetailedRequest, Observer
from metrics_app.ports import BoundCounter, BoundGauge, BoundHistogram, MetricsPort, RequestRecorder
from metrics_app.scheme_observers import DjangoPrometheusObserver, SemconvObserver
from metrics_app.setting_values import RequestLabel
from metrics_app.trace_context import HEADER, sampled_trace_id

MIN_ERROR_CODE = 400
MEASUREMENTS = frozenset({"sizes", "first_byte", "queries"})


class Details:
    """How requests are measured: `measure` begins one, `hooks` are methods that Django calls."""

    def __init__(
        self,
        observers: list[Observer],
        excluded_routes: frozenset[str],
        hooks: Mapping[str, Callable[..., Any]],
    ) -> None:
        self._observer = observers[0] if len(observers) == 1 else Observers(observers)
        self._excluded_routes = excluded_routes
        self._counts_queries = "queries" in conf.request_details
        self.hooks = hooks

    def measure(self, _recorder: RequestRecorder, request: HttpRequest) -> DetailedRequest:
        return DetailedRequest(self._observer, request, self._excluded_routes, self._counts_queries)


def find_details(metrics: MetricsPort) -> Details | None:
    """None where nothing is wanted but what the adapter's own recorder takes."""
    routes = frozenset(item for item in conf.exclude if not item.startswith("/"))
    labels, wanted, names = conf.labels, conf.request_details, conf.names
    if names == "plain" and not routes and not labels and not wanted:
        return None
    if "exceptions" in wanted or names == "semconv":
        got_request_exception.connect(_record_exception)
    details: list[Observer] = []
    if "exceptions" in wanted:
        details.append(Exceptions(metrics))
    if MEASUREMENTS.intersection(wanted):
        details.append(Measurements(metrics, wanted))
    if names == "django-prometheus":
        first = DjangoPrometheusObserver(metrics)
        hooks = {
            "process_exception": first.process_exception,
            "process_template_response": first.process_template_response,
        }
        return Details([first, *details], routes, hooks)
    return Details([_make_first(metrics, names, labels), *details], routes, {})


def _make_first(metrics: MetricsPort, names: str, labels: Mapping[str, RequestLabel]) -> Observer:
    """What records rate, errors and duration."""
    if names == "semconv":
        return SemconvObserver(metrics, labels)
    return LabelledObserver(metrics, labels) if labels else RecorderObserver(metrics.request_recorder())


class Detail:
    """An observer of what is known when the response has ended."""

    def begin(self, measured: DetailedRequest) -> None:
        """Nothing is in progress for it."""

    def cancel(self, measured: DetailedRequest) -> None:
        """The same."""


class Observers(Detail):
    """The first one, which knows what is in progress, and details."""

    def __init__(self, observers: list[Observer]) -> None:
        self._finish = [observer.finish for observer in observers]
        self.begin = observers[0].begin  # type: ignore[method-assign]
        self.cancel = observers[0].cancel  # type: ignore[method-assign]

    def finish(self, measured: DetailedRequest) -> None:
        for finish in self._finish:
            finish(measured)


class RecorderObserver:
    """The recorder of the adapter, which is fast."""

    def __init__(self, recorder: RequestRecorder) -> None:
        self._recorder = recorder

    def begin(self, measured: DetailedRequest) -> None:
        self._recorder.begin(measured.method)

    def finish(self, measured: DetailedRequest) -> None:
        traceparent = measured.request.META.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        self._recorder.finish(measured.method, measured.route, measured.code, measured.seconds, trace_id)

    def cancel(self, measured: DetailedRequest) -> None:
        self._recorder.cancel(measured.method)


class LabelledObserver:
    """Rate, errors and duration with the extra labels."""

    def __init__(self, metrics: MetricsPort, functions: Mapping[str, RequestLabel]) -> None:
        self._metrics = metrics
        self._labels = ExtraLabels(functions)
        self._names = tuple(functions)
        self._bindings = Bindings(self._bind)
        self._in_progress: Bindings[BoundGauge] = Bindings(
            lambda method: metrics.bind_gauge(catalogue.HTTP_REQUESTS_IN_PROGRESS, {"method": method})
        )

    def begin(self, measured: DetailedRequest) -> None:
        self._in_progress.find(measured.method).move(1.0)

    def finish(self, measured: DetailedRequest) -> None:
        self.cancel(measured)
        values = self._labels.find(measured)
        bound = self._bindings.find(measured.method, measured.route, measured.code, *values)
        requests, durations, errors = bound
        requests.inc()
        durations.observe(measured.seconds)
        if errors is not None:
            errors.inc()

    def cancel(self, measured: DetailedRequest) -> None:
        self._in_progress.find(measured.method).move(-1.0)

    def _bind(
        self, method: str, route: str, code: int, *values: str
    ) -> tuple[BoundCounter, BoundHistogram, BoundCounter | None]:
        labels = {"method": method, "route": route, "code": str(code)}
        labels |= dict(zip(self._names, values, strict=True))
        errors = None
        if code >= MIN_ERROR_CODE:
            errors = self._metrics.bind_counter(catalogue.HTTP_REQUEST_ERRORS, labels)
        return (
            self._metrics.bind_counter(catalogue.HTTP_REQUESTS, labels),
            self._metrics.bind_histogram(catalogue.HTTP_REQUEST_DURATION, labels),
            errors,
        )


class Measurements(Detail):
    """Sizes, time to first byte and queries, as far as they are wanted, found by one look-up."""

    def __init__(self, metrics: MetricsPort, wanted: Container[str]) -> None:
        self._metrics = metrics
        self._wanted = wanted
        self._bound: dict[tuple[str, str, int], Measured] = {}
        self._limit = conf.max_label_sets

    def finish(self, measured: DetailedRequest) -> None:
        key = measured.method, measured.route, measured.code
        received, sent, first_byte, queries, query_time = self._bound.get(key) or self._bind(*key)
        if received is not None and sent is not None:
            received_bytes, sent_bytes = measured.find_request_size(), measured.find_response_size()
            if received_bytes is not None:
                received.observe(received_bytes)
            if sent_bytes is not None:
                sent.observe(sent_bytes)
        if first_byte is not None and measured.first_byte is not None:
            first_byte.observe(measured.first_byte)
        if queries is not None and query_time is not None:
            queries.observe(measured.queries.number)
            query_time.observe(measured.queries.seconds)

    def _bind(self, method: str, route: str, code: int) -> "Measured":
        response = {"method": method, "route": route, "code": str(code)}
        request = {"method": method, "route": route}
        bound = (
            self._bind_if("sizes", catalogue.HTTP_REQUEST_SIZE, response),
            self._bind_if("sizes", catalogue.HTTP_RESPONSE_SIZE, response),
            self._bind_if("first_byte", catalogue.HTTP_TIME_TO_FIRST_BYTE, response),
            self._bind_if("queries", catalogue.HTTP_REQUEST_QUERIES, request),
            self._bind_if("queries", catalogue.HTTP_REQUEST_QUERY_DURATION, request),
        )
        if len(self._bound) < self._limit:
            self._bound[method, route, code] = bound
        return bound

    def _bind_if(self, detail: str, name: str, labels: dict[str, str]) -> BoundHistogram | None:
        return self._metrics.bind_histogram(name, labels) if detail in self._wanted else None


Measured = tuple[
    BoundHistogram | None,
    BoundHistogram | None,
    BoundHistogram | None,
    BoundHistogram | None,
    BoundHistogram | None,
]
"""Bytes received, bytes sent, first byte, number of queries, and their time."""


class Exceptions(Detail):
    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics

    def finish(self, measured: DetailedRequest) -> None:
        if measured.exception:
            labels = {"method": measured.method, "route": measured.route, "type": measured.exception}
            self._metrics.inc_counter(catalogue.HTTP_EXCEPTIONS, labels)


def _record_exception(*, request: HttpRequest | None = None, **_: Any) -> None:
    """Receives the signal that Django sends when it answers 500 for an exception."""
    measured = getattr(request, "metrics", None)
    error = sys.exc_info()[1]
    if isinstance(measured, DetailedRequest) and error is not None:
        measured.exception = type(error).__name__
