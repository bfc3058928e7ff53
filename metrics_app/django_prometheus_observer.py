"""Records each request under the names of django-prometheus."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from metrics_app import request_schemes as names
from metrics_app.bindings import Bindings
from metrics_app.detailed_request import DetailedRequest
from metrics_app.observed_request import ObservedRequest
from metrics_app.ports import MetricsPort
from metrics_app.recorders import BoundCounter, BoundHistogram
from metrics_app.request_labels import OTHER_METHOD

Ended = tuple[BoundCounter, BoundCounter, BoundHistogram]
"""Responses by status, by status and view, and their latency."""


class DjangoPrometheusObserver:
    """Records what the two middlewares of django-prometheus record.

    Requests that another middleware answers are counted by method and transport, too: there only one
    middleware stands outermost.
    """

    def __init__(self, metrics: MetricsPort, limit: int) -> None:
        self._metrics = metrics
        self._requests, self._responses, self._ajax, self._streaming, *unknown = (
            metrics.bind_counter(name, {})
            for name in (
                names.REQUESTS_BEFORE,
                names.RESPONSES_BEFORE,
                names.AJAX,
                names.STREAMING,
                names.UNKNOWN_LATENCY_BEFORE,
                names.UNKNOWN_LATENCY,
            )
        )
        # Dashboards expect these from the beginning.
        self._zeros = [self._ajax, self._streaming, *unknown]
        self._latency = metrics.bind_histogram(names.LATENCY, {})
        self._request_bytes = metrics.bind_histogram(names.REQUEST_BYTES, {})
        self._response_bytes = metrics.bind_histogram(names.RESPONSE_BYTES, {})
        self._begun: Bindings[tuple[BoundCounter, BoundCounter]] = Bindings(self._bind_begun, limit)
        self._ended: Bindings[tuple[BoundCounter, BoundCounter, BoundHistogram]] = Bindings(
            self._bind_ended, limit
        )
        self._by_view: Bindings[BoundCounter] = Bindings(self._bind_view, limit)
        self._by_charset: Bindings[BoundCounter] = Bindings(self._bind_charset, limit)

    def begin(self, measured: ObservedRequest) -> None:
        zeros, self._zeros = self._zeros, []
        for counter in zeros:
            counter.inc(0.0)
        request: HttpRequest = measured.source
        self._requests.inc()
        by_method, by_transport = self._begun.find(_find_known_method(measured), measured.scheme)
        by_method.inc()
        by_transport.inc()
        if request.META.get("HTTP_X_REQUESTED_WITH") == "XMLHttpRequest":
            self._ajax.inc()
        self._request_bytes.observe(cast("DetailedRequest", measured).find_request_size() or 0.0)

    def finish(self, measured: ObservedRequest) -> None:
        self._responses.inc()
        self._latency.observe(measured.seconds)
        method = _find_known_method(measured)
        view = "<unnamed view>"
        match = measured.source.resolver_match
        if match is not None:
            view = match.view_name or view
            self._by_view.find(view, measured.scheme, method).inc()
        by_status, by_status_view, latency = self._ended.find(measured.code, view, method)
        by_status.inc()
        by_status_view.inc()
        latency.observe(measured.seconds)
        measured_here = cast("DetailedRequest", measured)
        response = measured_here.response
        if response is not None:
            self._by_charset.find(str(response.charset)).inc()
            if isinstance(response, StreamingHttpResponse):
                self._streaming.inc()
            elif (sent := measured_here.find_response_size()) is not None:
                self._response_bytes.observe(sent)

    def cancel(self, measured: ObservedRequest) -> None:
        """It was counted when it began, as there."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """A hook of Django's: a view has raised this."""
        kind = {"type": type(exception).__name__}
        self._metrics.inc_counter(names.EXCEPTIONS_BY_TYPE, kind)
        match = request.resolver_match
        view = (match.view_name if match else "") or "<unnamed view>"
        self._metrics.inc_counter(names.EXCEPTIONS_BY_VIEW, {"view": view})

    def process_template_response(self, _request: HttpRequest, response: Any) -> HttpResponseBase:
        """A hook of Django's: a response is about to be rendered."""
        labels = {"templatename": str(response.template_name)}
        self._metrics.inc_counter(names.BY_TEMPLATE, labels)
        rendered: HttpResponseBase = response
        return rendered

    def _bind_begun(self, method: str, transport: str) -> tuple[BoundCounter, BoundCounter]:
        return (
            self._metrics.bind_counter(names.BY_METHOD, {"method": method}),
            self._metrics.bind_counter(names.BY_TRANSPORT, {"transport": transport}),
        )

    def _bind_view(self, view: str, transport: str, method: str) -> BoundCounter:
        labels = {"view": view, "transport": transport, "method": method}
        return self._metrics.bind_counter(names.BY_VIEW, labels)

    def _bind_charset(self, charset: str) -> BoundCounter:
        return self._metrics.bind_counter(names.BY_CHARSET, {"charset": charset})

    def _bind_ended(self, code: int, view: str, method: str) -> Ended:
        status, by_view = {"status": str(int(code))}, {"view": view, "method": method}
        return (
            self._metrics.bind_counter(names.BY_STATUS, status),
            self._metrics.bind_counter(names.BY_STATUS_VIEW, status | by_view),
            self._metrics.bind_histogram(names.LATENCY_BY_VIEW, by_view),
        )


def _find_known_method(measured: ObservedRequest) -> str:
    return "<invalid method>" if measured.method == OTHER_METHOD else measured.method
