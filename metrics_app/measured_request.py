"""One request, from its beginning to the end of its response."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter
from typing import Any

from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics_app.conf import conf
from metrics_app.decorators import NOT_MEASURED
from metrics_app.recorders import RequestRecorder
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
    """In progress from its creation until one of `fail`, `answer` or `finish` is called.

    `start` is when it began, if the recorder already knows about it.
    """

    __slots__ = ("_recorder", "_start", "method", "request", "stream")

    stream: Stream
    """What is sent, if the answer streams."""

    def __init__(self, recorder: RequestRecorder, request: HttpRequest, start: float | None = None) -> None:
        self._recorder = recorder
        self.request = request
        self.method = METHODS.get(request.method or "", OTHER_METHOD)
        if start is None:
            recorder.begin(self.method)
            start = perf_counter()
        self._start = start

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
        ended = perf_counter()
        # Without a call, because calls are most of the cost of measuring a request.
        request = self.request
        match = request.resolver_match
        if match is None:
            name = UNMATCHED
        elif getattr(match.func, NOT_MEASURED, False) and not is_counted_scrape(match.func):
            self._recorder.cancel(self.method)
            return
        else:
            # The name of the URL with its namespaces, or its pattern: few values, whatever clients request.
            name = match.view_name if match.url_name else match.route or "/"
        traceparent = request.META.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        self._recorder.finish((self.method, name, code), ended - self._start, trace_id, ended)

    def _time_stream(self, response: StreamingHttpResponse) -> None:
        # Django calls `close` of the new content when the response is closed, at the latest.
        content, status = response.streaming_content, response.status_code
        if isinstance(content, Iterator):
            # With this set, a server that can do so sends the file itself.
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
