"""Rate, errors and duration of every request, by method, route and code."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, get_script_prefix, reverse

from metrics_app import trace_context
from metrics_app.backend import get_metrics
from metrics_app.ports import RequestRecorder

METHODS = {
    method: method
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
}
OTHER_METHOD = "OTHER"
UNMATCHED = "unmatched"
SERVER_ERROR = 500
CLIENT_CLOSED_REQUEST = 499
"""Nobody got an answer, for the client had gone before there was one. nginx logs it by this code."""

Finish = Callable[[int], None]


class RequestMetricsMiddleware:
    """Stands outermost, so that it times and counts what the others do and refuse."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._recorder = get_metrics().request_recorder()
        self._scrape_path = _scrape_path()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info == self._scrape_path and not settings.METRICS_COUNT_SCRAPES:
            response: HttpResponseBase | Awaitable[HttpResponseBase] = self._get_response(request)
            return response
        if self._is_async:
            return self._answer_async(request)
        measured = _MeasuredRequest(self._recorder, request)
        try:
            answer: HttpResponseBase = self._get_response(request)
        except BaseException as error:
            measured.fail(error)
            raise
        return measured.answer(answer)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        measured = _MeasuredRequest(self._recorder, request)
        try:
            answer: HttpResponseBase = await self._get_response(request)
        except BaseException as error:
            measured.fail(error)
            raise
        return measured.answer(answer)


class _MeasuredRequest:
    """Is in progress from the moment it is made until one of `fail`, `answer` or `finish`."""

    __slots__ = ("_method", "_recorder", "_request", "_start")

    def __init__(self, recorder: RequestRecorder, request: HttpRequest) -> None:
        self._recorder = recorder
        self._request = request
        self._method = METHODS.get(request.method or "", OTHER_METHOD)
        recorder.begin(self._method)
        self._start = perf_counter()

    def fail(self, error: BaseException) -> None:
        # The server cancels a view whose client has gone.
        gone = isinstance(error, asyncio.CancelledError)
        self.finish(CLIENT_CLOSED_REQUEST if gone else SERVER_ERROR)

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        """The response; one that streams finishes the request when it ends."""
        if isinstance(response, StreamingHttpResponse):
            _time_stream(response, self.finish)
        else:
            self.finish(response.status_code)
        return response

    def finish(self, code: int) -> None:
        seconds = perf_counter() - self._start
        traceparent = self._request.META.get(trace_context.HEADER)
        trace_id = trace_context.sampled_trace_id(traceparent) if traceparent else ""
        self._recorder.finish(self._method, route(self._request), code, seconds, trace_id)


def _time_stream(response: StreamingHttpResponse, finish: Finish) -> None:
    # Django calls `close` of the new content when the response is closed, at the latest.
    content, status = response.streaming_content, response.status_code
    if isinstance(content, Iterator):
        # The server sends a file by its own means, if it has any, as long as this is set.
        file = getattr(response, "file_to_stream", None)
        response.streaming_content = TimedStream(content, status, finish)
        if isinstance(response, FileResponse):
            response.file_to_stream = file
    else:
        response.streaming_content = TimedAsyncStream(content, status, finish)


class _Stream:
    """Ends once: by its last part, by an error or, when the client goes away, by being closed."""

    def __init__(self, status: int, finish: Finish) -> None:
        self._status = status
        self._finish: Finish | None = finish

    def close(self) -> None:
        self._end(self._status)

    def _end(self, code: int) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish(code)


class TimedStream(_Stream):
    def __init__(self, content: Iterator[bytes], status: int, finish: Finish) -> None:
        super().__init__(status, finish)
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._content)
        except StopIteration:
            self._end(self._status)
            raise
        except BaseException:
            self._end(SERVER_ERROR)
            raise


class TimedAsyncStream(_Stream):
    def __init__(self, content: AsyncIterable[bytes], status: int, finish: Finish) -> None:
        super().__init__(status, finish)
        self._content = aiter(content)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._content)
        except (StopAsyncIteration, asyncio.CancelledError):
            self._end(self._status)
            raise
        except BaseException:
            self._end(SERVER_ERROR)
            raise


def route(request: HttpRequest) -> str:
    """The name of the URL with its namespaces, or its pattern: one of a few, whatever is asked for."""
    match = request.resolver_match
    if match is None:
        return UNMATCHED
    return match.view_name if match.url_name else match.route or "/"


def _scrape_path() -> str | None:
    try:
        return "/" + reverse("metrics:exposition").removeprefix(get_script_prefix())
    except NoReverseMatch:
        return None
