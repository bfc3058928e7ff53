"""Rate, errors and duration of every request, by method, route and code."""

import asyncio
from collections.abc import Awaitable, Callable, Container
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from metrics_app.backend import adapter_class, get_metrics
from metrics_app.detailed_request import ObservedDjangoRequest, Observing, RecordedRequest
from metrics_app.measured_answers import measure_answers
from metrics_app.measured_request import MeasuredRequest
from metrics_app.recorded_answers import record_answers
from metrics_app.request_details import find_details
from metrics_app.streams import Stream
from metrics_app.unmeasured_paths import find_unmeasured_paths

GetResponse = Callable[[HttpRequest], Any]
Answer = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
Measure = Callable[[HttpRequest], MeasuredRequest]


@sync_and_async_middleware
def RequestMetricsMiddleware(get_response: GetResponse) -> Answer:  # noqa: N802 - settings have this name
    """Put it outermost, so that it times and counts what all other middleware answers and refuses.

    It returns a function, which costs a request less than an object with `__call__`.

    Raises:
        ImproperlyConfigured: the setting BACKEND names no adapter; a server does not start with it.
    """
    adapter_class()
    metrics = get_metrics()
    metrics.announce()
    unmeasured, details = find_unmeasured_paths(), find_details(metrics)
    measure: Measure
    if details is None:
        measure = partial(MeasuredRequest, metrics.request_recorder())
    elif isinstance(details, Observing):
        measure = partial(ObservedDjangoRequest, details)
    else:
        measure = partial(RecordedRequest, details)
    answer: Answer
    if iscoroutinefunction(get_response):
        answer = _answer_async(get_response, measure, unmeasured)
    elif details is None:
        answer = measure_answers(get_response, metrics.request_recorder(), unmeasured)
    elif isinstance(details, Observing):
        answer = _answer(get_response, measure, unmeasured)
    else:
        answer = record_answers(get_response, details, unmeasured)
    if isinstance(details, Observing):
        # Django looks for these names when it sets the middleware up.
        vars(answer).update(details.hooks)
    return answer


def _answer(get_response: GetResponse, measure: Measure, unmeasured: Container[str]) -> Answer:
    def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if request.path_info in unmeasured:
            response = get_response(request)
            return response
        measured = measure(request)
        try:
            response = get_response(request)
        except BaseException as error:
            measured.fail(error)
            raise
        return measured.answer(response)

    return answer


def _answer_async(get_response: GetResponse, measure: Measure, unmeasured: Container[str]) -> Answer:
    async def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if request.path_info in unmeasured:
            response = await get_response(request)
            return response
        measured = measure(request)
        try:
            response = await get_response(request)
        except BaseException as error:
            measured.fail(error)
            raise
        response = measured.answer(response)
        if isinstance(response, StreamingHttpResponse):
            _end_with_the_task(measured.stream)
        return response

    return answer


def _end_with_the_task(stream: Stream) -> None:
    """End the stream when the task that sends it fails, because Django does not close the response then."""
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(partial(_fail_unsent, stream))


def _fail_unsent(stream: Stream, task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        stream.fail()
