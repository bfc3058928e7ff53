"""One request with more measurements than its rate, errors and duration."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from time import perf_counter
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics_app.database import request_queries
from metrics_app.decorators import NOT_MEASURED
from metrics_app.measured_request import MeasuredRequest, is_counted_scrape
from metrics_app.observed_request import Measurements, Observer, parse_size
from metrics_app.recorders import DetailedRecorder
from metrics_app.request_labels import METHODS, OTHER_METHOD, UNMATCHED
from metrics_app.trace_context import HEADER, sampled_trace_id

EXCEPTION = "_exception_that_metrics_count"
"""The attribute of a request that says which type of exception was answered with a 500."""


class Wanted(NamedTuple):
    """What the settings want to know about each request."""

    measurements: Measurements
    excluded_routes: frozenset[str]
    count_exception: Callable[[str, str, str], None] | None
    """Counts one by method, route and type."""


class Recording(NamedTuple):
    """One call of an adapter's recorder records everything."""

    recorder: DetailedRecorder
    wanted: Wanted


class Observing(NamedTuple):
    """An observer records everything, because of other names or extra labels."""

    observer: Observer
    wanted: Wanted
    hooks: Mapping[str, Callable[..., Any]]
    """Methods that Django calls, by their names."""


class DetailedRequest(MeasuredRequest):
    """Counts while a response streams, and measures when it has ended."""

    __slots__ = ("_bytes_streamed", "_first_byte", "exception", "queries", "response")

    response: HttpResponseBase | None
    exception: str
    queries: list[float]
    """The number of its database queries and their seconds together, if these are counted."""

    # Only for responses that stream:
    _bytes_streamed: int | None
    """None where the server sends it by its own means."""
    _first_byte: float | None
    """Seconds until there was something to send."""

    def fail(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self.exception = type(error).__name__
        super().fail(error)

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        self.response = response
        if isinstance(response, StreamingHttpResponse):
            self._bytes_streamed = self._first_byte = None
            self._time_stream(response)
        else:
            seconds = perf_counter() - self._start
            self._end(response.status_code, seconds, seconds)
        return response

    def finish(self, code: int) -> None:
        seconds = perf_counter() - self._start
        self._end(code, seconds, None if self.response is None else self._first_byte)

    def _end(self, code: int, seconds: float, first_byte: float | None) -> None:
        raise NotImplementedError

    def find_request_size(self) -> float | None:
        """Bytes of the body, by its header; None without one."""
        return find_body_size(self.request.META)

    def find_response_size(self) -> float | None:
        """Bytes that were sent; None if a server sends a file of unknown length."""
        response = self.response
        if isinstance(response, HttpResponse):
            return float(len(response.content))
        if response is None:
            return None
        if self._bytes_streamed is not None:
            return float(self._bytes_streamed)
        length = response.headers.get("Content-Length", "")
        return float(length) if length.isascii() and length.isdigit() else None

    def _watch(self, content: Iterator[bytes]) -> Iterator[bytes]:
        for part in content:
            self._count(part)
            yield part

    async def _watch_async(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in content:
            self._count(part)
            yield part

    def _count(self, part: bytes) -> None:
        if self._first_byte is None:
            self._first_byte = perf_counter() - self._start
        self._bytes_streamed = (self._bytes_streamed or 0) + len(part)


class RecordedRequest(DetailedRequest):
    """Its details are passed to a recorder, in as few calls as possible."""

    __slots__ = ("_recording",)

    def __init__(
        self,
        recording: Recording,
        request: HttpRequest,
        start: float | None = None,
        queries: list[float] | None = None,
    ) -> None:
        self._recording = recording
        recorder, wanted = recording
        self.request = request
        self.method = METHODS.get(request.method or "", OTHER_METHOD)
        self.response, self.exception = None, ""
        if queries is not None:
            self.queries = queries
        elif wanted.measurements.queries:
            self.queries = [0.0, 0.0]
            request_queries.set(self.queries)
        if start is None:
            recorder.begin(self.method)
            start = perf_counter()
        self._start = start

    def _end(self, code: int, seconds: float, first_byte: float | None) -> None:
        request, method = self.request, self.method
        recorder, (measurements, excluded, count_exception) = self._recording
        match = request.resolver_match
        if match is None:
            route = UNMATCHED
        else:
            route = match.view_name if match.url_name else match.route or "/"
            if getattr(match.func, NOT_MEASURED, False) and not is_counted_scrape(match.func):
                recorder.cancel(method)
                return
        if excluded and route in excluded:
            recorder.cancel(method)
            return
        traceparent = request.META.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        values: list[float | None] = []
        # As `ObservedDjangoRequest.find_measurements`, without calls for what most requests are.
        if measurements.sizes:
            meta, response = request.META, self.response
            has_body = meta.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in meta
            values.append(self.find_request_size() if has_body else 0.0)
            if isinstance(response, HttpResponse):
                values.append(float(len(response.content)))
            else:
                values.append(self.find_response_size())
        if measurements.first_byte:
            values.append(first_byte)
        if measurements.queries:
            values += self.queries[-2:]
        recorder.finish((method, route, code), seconds, trace_id, values)
        if count_exception is not None:
            exception = getattr(request, EXCEPTION, self.exception)
            if exception:
                count_exception(method, route, exception)


class ObservedDjangoRequest(DetailedRequest):
    """It is passed to an observer."""

    __slots__ = ("_observing", "code", "first_byte", "pattern", "route", "seconds", "source", "traceparent")

    def __init__(self, observing: Observing, request: HttpRequest) -> None:
        self._observing = observing
        self.request = self.source = request
        self.method = METHODS.get(request.method or "", OTHER_METHOD)
        self.response, self.exception = None, ""
        if observing.wanted.measurements.queries:
            self.queries = [0.0, 0.0]
            request_queries.set(self.queries)
        observing.observer.begin(self)
        self._start = perf_counter()

    @property
    def scheme(self) -> str:
        return self.request.scheme or ""

    def find_measurements(self, wanted: Measurements) -> list[float | None]:
        found: list[float | None] = []
        if wanted.sizes:
            found += (self.find_request_size(), self.find_response_size())
        if wanted.first_byte:
            found.append(self.first_byte)
        if wanted.queries:
            found += self.queries[-2:]
        return found

    def _end(self, code: int, seconds: float, first_byte: float | None) -> None:
        self.code, self.seconds, self.first_byte = code, seconds, first_byte
        request, (observer, wanted, _) = self.request, self._observing
        match = request.resolver_match
        if match is None:
            self.pattern, self.route = "", UNMATCHED
        else:
            self.pattern = match.route or "/"
            self.route = match.view_name if match.url_name else self.pattern
            if getattr(match.func, NOT_MEASURED, False) and not is_counted_scrape(match.func):
                observer.cancel(self)
                return
        if self.route in wanted.excluded_routes:
            observer.cancel(self)
            return
        self.exception = getattr(request, EXCEPTION, self.exception)
        self.traceparent = request.META.get(HEADER)
        observer.finish(self)
        if wanted.count_exception is not None and self.exception:
            wanted.count_exception(self.method, self.route, self.exception)


def find_body_size(meta: Mapping[str, str]) -> float | None:
    """Bytes of the body of a request with these headers; None if they do not say."""
    return parse_size(meta.get("CONTENT_LENGTH"), is_chunked="HTTP_TRANSFER_ENCODING" in meta)
