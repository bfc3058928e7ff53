"""Rate, errors and duration of every request, by method, route and code."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics_app.backend import adapter_class, get_metrics
from metrics_app.decorators import NOT_MEASURED
from metrics_app.detailed_request import ObservedDjangoRequest, Observing, RecordedRequest
from metrics_app.measured_request import MeasuredRequest
from metrics_app.recorded_answers import RecordedAnswers
from metrics_app.request_details import find_details
from metrics_app.request_labels import METHODS, OTHER_METHOD
from metrics_app.streams import Stream
from metrics_app.trace_context import HEADER
from metrics_app.unmeasured_paths import find_unmeasured_paths


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
        self._recorder: Any = metrics.request_recorder()
        self._unmeasured = find_unmeasured_paths()
        self._measure: Callable[[Any, HttpRequest], MeasuredRequest] = MeasuredRequest
        self._answer: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]] | None = None
        """Answers a request that is measured; None where rate, errors and duration are all that is wanted."""
        details = find_details(metrics)
        if isinstance(details, Observing):
            self._measure, self._recorder = ObservedDjangoRequest, details
            self._answer = self._answer_observed
            # Django asks for these by their names when it sets the middleware up.
            vars(self).update(details.hooks)
        elif details is not None:
            self._measure, self._recorder = RecordedRequest, details
            self._answer = RecordedAnswers(details, get_response).answer
        if iscoroutinefunction(get_response):
            self._answer = self._answer_async
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info in self._unmeasured:
            response: HttpResponseBase | Awaitable[HttpResponseBase] = self._get_response(request)
            return response
        if self._answer is not None:
            return self._answer(request)
        # As `MeasuredRequest`, without an object and calls of its methods: they would be most of what
        # measuring a request costs.
        recorder, method = self._recorder, METHODS.get(request.method or "", OTHER_METHOD)
        recorder.begin(method)
        start = perf_counter()
        try:
            answer: HttpResponseBase = self._get_response(request)
        except BaseException as error:
            MeasuredRequest(recorder, request, start).fail(error)
            raise
        ended = perf_counter()
        match = request.resolver_match
        if (
            match is None
            or (type(answer) is not HttpResponse and isinstance(answer, StreamingHttpResponse))
            or HEADER in request.META
            or getattr(match.func, NOT_MEASURED, False)
        ):
            return MeasuredRequest(recorder, request, start).answer(answer)
        route = match.view_name if match.url_name else match.route or "/"
        recorder.finish(method, route, answer.status_code, ended - start, ended=ended)
        return answer

    def _answer_observed(self, request: HttpRequest) -> HttpResponseBase:
        measured = self._measure(self._recorder, request)
        try:
            answer: HttpResponseBase = self._get_response(request)
        except BaseException as error:
            measured.fail(error)
            raise
        return measured.answer(answer)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        measured = self._measure(self._recorder, request)
        try:
            answer: HttpResponseBase = await self._get_response(request)
        except BaseException as error:
            measured.fail(error)
            raise
        answer = measured.answer(answer)
        if isinstance(answer, StreamingHttpResponse):
            _end_with_the_task(measured.stream)
        return answer


def _end_with_the_task(stream: Stream) -> None:
    """Let the stream end when the task that sends it fails: Django does not close the response then."""
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(partial(_fail_unsent, stream))


def _fail_unsent(stream: Stream, task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        stream.fail()
