"""What the settings want of requests beside rate, errors and duration by method, route and code."""

import sys
from collections.abc import Callable, Mapping
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

MIN_ERROR_CODE = 400


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
        self.hooks = hooks

    def measure(self, _recorder: RequestRecorder, request: HttpRequest) -> DetailedRequest:
        return DetailedRequest(self._observer, request, self._excluded_routes)


def find_details(metrics: MetricsPort) -> Details | None:
    """None where nothing is wanted but what the adapter's own recorder takes."""
    routes = frozenset(item for item in conf.exclude if not item.startswith("/"))
    labels, wanted, names = conf.labels, conf.request_details, conf.names
    if names == "plain" and not routes and not labels and not wanted:
        return None
    if "exceptions" in wanted or names == "semconv":
        got_request_exception.connect(_record_exception)
    details = [DETAILS[name](metrics) for name in wanted]
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
        self._observers = observers
        self.begin = observers[0].begin  # type: ignore[method-assign]
        self.cancel = observers[0].cancel  # type: ignore[method-assign]

    def finish(self, measured: DetailedRequest) -> None:
        for observer in self._observers:
            observer.finish(measured)


class RecorderObserver:
    """The recorder of the adapter, which is fast."""

    def __init__(self, recorder: RequestRecorder) -> None:
        self._recorder = recorder

    def begin(self, measured: DetailedRequest) -> None:
        self._recorder.begin(measured.method)

    def finish(self, measured: DetailedRequest) -> None:
        trace_id = measured.find_trace_id()
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


class Sizes(Detail):
    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics
        self._bindings = Bindings(self._bind)

    def finish(self, measured: DetailedRequest) -> None:
        received, sent = self._bindings.find(measured.method, measured.route, measured.code)
        if (size := measured.find_request_size()) is not None:
            received.observe(size)
        if (size := measured.find_response_size()) is not None:
            sent.observe(size)

    def _bind(self, method: str, route: str, code: int) -> tuple[BoundHistogram, BoundHistogram]:
        labels = {"method": method, "route": route, "code": str(code)}
        return (
            self._metrics.bind_histogram(catalogue.HTTP_REQUEST_SIZE, labels),
            self._metrics.bind_histogram(catalogue.HTTP_RESPONSE_SIZE, labels),
        )


class FirstByte(Detail):
    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics
        self._bindings = Bindings(self._bind)

    def finish(self, measured: DetailedRequest) -> None:
        if measured.first_byte is not None:
            bound = self._bindings.find(measured.method, measured.route, measured.code)
            bound.observe(measured.first_byte)

    def _bind(self, method: str, route: str, code: int) -> BoundHistogram:
        labels = {"method": method, "route": route, "code": str(code)}
        return self._metrics.bind_histogram(catalogue.HTTP_TIME_TO_FIRST_BYTE, labels)


class Exceptions(Detail):
    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics

    def finish(self, measured: DetailedRequest) -> None:
        if measured.exception:
            labels = {"method": measured.method, "route": measured.route, "type": measured.exception}
            self._metrics.inc_counter(catalogue.HTTP_EXCEPTIONS, labels)


class Queries(Detail):
    def __init__(self, metrics: MetricsPort) -> None:
        self._metrics = metrics
        self._bindings = Bindings(self._bind)

    def finish(self, measured: DetailedRequest) -> None:
        numbers, durations = self._bindings.find(measured.method, measured.route)
        numbers.observe(float(measured.queries.number))
        durations.observe(measured.queries.seconds)

    def _bind(self, method: str, route: str) -> tuple[BoundHistogram, BoundHistogram]:
        labels = {"method": method, "route": route}
        return (
            self._metrics.bind_histogram(catalogue.HTTP_REQUEST_QUERIES, labels),
            self._metrics.bind_histogram(catalogue.HTTP_REQUEST_QUERY_DURATION, labels),
        )


DETAILS: dict[str, Callable[[MetricsPort], Observer]] = {
    "sizes": Sizes,
    "first_byte": FirstByte,
    "exceptions": Exceptions,
    "queries": Queries,
}


def _record_exception(*, request: HttpRequest | None = None, **_: Any) -> None:
    """Receives the signal that Django sends when it answers 500 for an exception."""
    measured = getattr(request, "metrics", None)
    error = sys.exc_info()[1]
    if isinstance(measured, DetailedRequest) and error is not None:
        measured.exception = type(error).__name__
