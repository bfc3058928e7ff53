"""Rate, errors and duration of every request, by method, route and code."""

import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Container, Iterator
from functools import partial
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics_app.backend import adapter_class, get_metrics
from metrics_app.conf import conf
from metrics_app.ports import RequestRecorder
from metrics_app.request_labels import (
    CLIENT_CLOSED_REQUEST,
    METHODS,
    OTHER_METHOD,
    SERVER_ERROR,
    UNMATCHED,
)
from metrics_app.scrape_paths import find_scrape_paths
from metrics_app.trace_context import HEADER, sampled_trace_id
from metrics_app.views import exposition

Finish = Callable[[int], None]


class RequestMetricsMiddleware:
    """Stands outermost, so that it times and counts what the others do and refuse.

    Raises:
        ImproperlyConfigured: the setting BACKEND names no adapter; a server does not start with it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        adapter_class()
        metrics = get_metrics()
        metrics.announce()
        self._recorder = metrics.request_recorder()
        self._scrape_paths: Container[str] = find_scrape_paths()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info in self._scrape_paths and not conf.count_scrapes:
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
        answer = measured.answer(answer)
        if isinstance(answer, StreamingHttpResponse):
            _end_with_the_task(measured.stream)
        return answer


class _MeasuredRequest:
    """Is in progress from the moment it is made until one of `fail`, `answer` or `finish`."""

    __slots__ = ("_method", "_recorder", "_request", "_start", "stream")

    stream: "_Stream"
    """What is sent, if the answer streams."""

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
            self.stream = _time_stream(response, self.finish)
        else:
            self.finish(response.status_code)
        return response

    def finish(self, code: int) -> None:
        seconds = perf_counter() - self._start
        # Without a call for it: calls are most of what measuring a request costs.
        request = self._request
        match = request.resolver_match
        if match is None:
            name = UNMATCHED
        elif match.func is exposition and not conf.count_scrapes:
            self._recorder.cancel(self._method)  # a second address of it, or one that only resolving tells
            return
        else:
            # The name of the URL with its namespaces, or its pattern: one of a few, whatever is asked for.
            name = match.view_name if match.url_name else match.route or "/"
        traceparent = request.META.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        self._recorder.finish(self._method, name, code, seconds, trace_id)


def _time_stream(response: StreamingHttpResponse, finish: Finish) -> "_Stream":
    # Django calls `close` of the new content when the response is closed, at the latest.
    content, status = response.streaming_content, response.status_code
    if isinstance(content, Iterator):
        # The server sends a file by its own means, if it has any, as long as this is set.
        file = getattr(response, "file_to_stream", None)
        stream = TimedStream(content, status, finish)
        response.streaming_content = stream
        if isinstance(response, FileResponse):
            response.file_to_stream = file
        return stream
    async_stream = TimedAsyncStream(content, status, finish)
    response.streaming_content = async_stream
    return async_stream


def _end_with_the_task(stream: "_Stream") -> None:
    """Let the stream end when the task that sends it fails: Django does not close the response then."""
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(partial(_fail_unsent, stream))


def _fail_unsent(stream: "_Stream", task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        stream.fail()


class _Stream:
    """Ends once: by its last part, by an error, by being closed when the client goes away, or, when the
    server refuses to send it and never closes it, by being let go of.
    """

    def __init__(self, status: int, finish: Finish) -> None:
        self._status = status
        self._finish: Finish | None = finish

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.fail()

    def close(self) -> None:
        self._end(self._status)

    def fail(self) -> None:
        """The server could not send it."""
        self._end(SERVER_ERROR)

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
