"""Answers requests of which only rate, errors and duration are measured, with few calls."""

from collections.abc import Callable, Container
from time import perf_counter
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from metrics_app.decorators import NOT_MEASURED
from metrics_app.measured_request import MeasuredRequest
from metrics_app.recorders import RequestRecorder
from metrics_app.request_labels import METHODS, OTHER_METHOD
from metrics_app.trace_context import HEADER


def measure_answers(
    get_response: Callable[[HttpRequest], Any], recorder: RequestRecorder, unmeasured: Container[str]
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Do what `MeasuredRequest` does, without an object and calls of its methods.

    `MeasuredRequest` handles the rare requests: those that fail, stream, belong to a trace or match no URL,
    and views that are not measured.
    """
    begin, finish, find_method = recorder.begin, recorder.finish, METHODS.get

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in unmeasured:
            response: HttpResponseBase = get_response(request)
            return response
        method = find_method(request.method, OTHER_METHOD)  # type: ignore[arg-type] # None is another, too
        begin(method)
        start = perf_counter()
        try:
            response = get_response(request)
        except BaseException as error:
            MeasuredRequest(recorder, request, start).fail(error)
            raise
        ended = perf_counter()
        match = request.resolver_match
        if (
            match is None
            or (type(response) is not HttpResponse and isinstance(response, StreamingHttpResponse))
            or HEADER in request.META
            or getattr(match.func, NOT_MEASURED, False)
        ):
            return MeasuredRequest(recorder, request, start).answer(response)
        route = match.view_name if match.url_name else match.route or "/"
        finish((method, route, response.status_code), ended - start, "", ended)
        return response

    return answer
