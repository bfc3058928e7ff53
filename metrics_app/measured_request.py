"""One request, from the moment it is begun until its response has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any, Protocol

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics_app.conf import conf
from metrics_app.database import QueryCount, request_queries
from metrics_app.decorators import NOT_MEASURED
from metrics_app.ports import RequestRecorder
from metrics_app.request_labels import (
    CLIENT_CLOSED_REQUEST,
    METHODS,
    OTHER_METHOD,
    SERVER_ERROR,
    UNMATCHED,
)
from metrics_app.streams import Stream, TimedAsyncStream, TimedStream
from metrics_app.trace_context import HEADER, sampled_trace_id
from metrics_app.views import exposition


class MeasuredRequest:
    """Is in progress from the moment it is made until one of `fail`, `answer` or `finish`."""

    __slots__ = ("_recorder", "_start", "method", "request", "stream")

    stream: Stream
    """What is sent, if the answer streams."""

    def __init__(self, recorder: RequestRecorder, request: HttpRequest) -> None:
        self._recorder = recorder
        self.request = request
        self.method = METHODS.get(request.method or "", OTHER_METHOD)
        recorder.begin(self.method)
        self._start = perf_counter()

    def fail(self, error: BaseException) -> None:
        # The server cancels a view whose client has gone.
        gone = isinstance(error, asyncio.CancelledError)
        self.finish(CLIENT_CLOSED_REQUEST if gone else SERVER_ERROR)

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        """The response; one that streams finishes the request when it ends."""
        if isinstance(response, StreamingHttpResponse):
            self._time_stream(response)
        else:
            self.finish(response.status_code)
        return response

    def finish(self, code: int) -> None:
        seconds = perf_counter() - self._start
        # Without a call for it: calls are most of what measuring a request costs.
        request = self.request
        match = request.resolver_match
        if match is None:
            name = UNMATCHED
        elif getattr(match.func, NOT_MEASURED, False) and not is_counted_scrape(match.func):
            self._recorder.cancel(self.method)
            return
        else:
            # The name of the URL with its namespaces, or its pattern: one of a few, whatever is asked for.
            name = match.view_name if match.url_name else match.route or "/"
        traceparent = request.META.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        self._recorder.finish(self.method, name, code, seconds, trace_id)

    def _time_stream(self, response: StreamingHttpResponse) -> None:
        # Django calls `close` of the new content when the response is closed, at the latest.
        content, status = response.streaming_content, response.status_code
        if isinstance(content, Iterator):
            # The server sends a file by its own means, if it has any, as long as this is set.
            file = getattr(response, "file_to_stream", None)
            stream = TimedStream(self._watch(content), status, self.finish)
            self.stream = response.streaming_content = stream
            if isinstance(response, FileResponse):
                response.file_to_stream = file
        else:
            async_stream = TimedAsyncStream(self._watch_async(content), status, self.finish)
            self.stream = response.streaming_content = async_stream

    def _watch(self, content: Iterator[bytes]) -> Iterator[bytes]:
        return content

    def _watch_async(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return content


def is_counted_scrape(view: Callable[..., Any]) -> bool:
    return view is exposition and conf.count_scrapes


class Observer(Protocol):
    """Records what it makes of each request; each `begin` is followed by one `finish` or `cancel`."""

    def begin(self, measured: "DetailedRequest") -> None: ...

    def finish(self, measured: "DetailedRequest") -> None: ...

    def cancel(self, measured: "DetailedRequest") -> None: ...


class DetailedRequest(MeasuredRequest):
    """One of which more is wanted than a recorder takes."""

    __slots__ = (
        "bytes_streamed",
        "code",
        "exception",
        "excluded_routes",
        "first_byte",
        "observer",
        "pattern",
        "queries",
        "response",
        "route",
        "seconds",
    )

    def __init__(
        self,
        observer: Observer,
        request: HttpRequest,
        excluded_routes: frozenset[str],
        counts_queries: bool,
    ) -> None:
        self.observer = observer
        self.request = request
        self.excluded_routes = excluded_routes
        self.method = METHODS.get(request.method or "", OTHER_METHOD)
        self.response: HttpResponseBase | None = None
        self.exception = ""
        """The type of the exception that nobody handled."""
        self.bytes_streamed: int | None = None
        """None where nothing streamed, or the server sends it by its own means."""
        self.first_byte: float | None = None
        """Seconds until there was something to send; None if nothing was sent."""
        request.metrics = self  # type: ignore[attr-defined]  # found by receivers of signals
        if counts_queries:
            self.queries = QueryCount()
            request_queries.set(self.queries)
        observer.begin(self)
        self._start = perf_counter()

    def fail(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self.exception = type(error).__name__
        super().fail(error)

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        self.response = response
        if isinstance(response, StreamingHttpResponse):
            self._time_stream(response)
        else:
            self.first_byte = perf_counter() - self._start
            self.finish(response.status_code)
        return response

    def finish(self, code: int) -> None:
        self.seconds = perf_counter() - self._start
        self.code = int(code)
        match = self.request.resolver_match
        if match is None:
            self.pattern, self.route = "", UNMATCHED
        else:
            self.pattern = match.route or "/"
            self.route = match.view_name if match.url_name else self.pattern
            if getattr(match.func, NOT_MEASURED, False) and not is_counted_scrape(match.func):
                self.observer.cancel(self)
                return
        if self.route in self.excluded_routes:
            self.observer.cancel(self)
        else:
            self.observer.finish(self)

    def find_request_size(self) -> float | None:
        """Bytes of the body, as its header says; None where it says nothing."""
        meta = self.request.META
        length = meta.get("CONTENT_LENGTH") or "0"
        if "HTTP_TRANSFER_ENCODING" in meta or not (length.isascii() and length.isdigit()):
            return None
        return float(length)

    def find_response_size(self) -> float | None:
        """Bytes that were sent; None where a server sends a file and nothing says how long it is."""
        if self.bytes_streamed is not None:
            return float(self.bytes_streamed)
        if isinstance(self.response, HttpResponse):
            return float(len(self.response.content))
        length = "" if self.response is None else self.response.headers.get("Content-Length", "")
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
        if self.first_byte is None:
            self.first_byte = perf_counter() - self._start
        self.bytes_streamed = (self.bytes_streamed or 0) + len(part)
