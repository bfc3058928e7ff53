"""Answers requests whose details go to an adapter's recorder, with few calls and no object for each."""

from collections.abc import Callable, Container
from time import perf_counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from metrics_app.database import request_queries
from metrics_app.decorators import NOT_MEASURED
from metrics_app.detailed_request import EXCEPTION, RecordedRequest, Recording, find_body_size
from metrics_app.request_labels import METHODS, OTHER_METHOD
from metrics_app.trace_context import HEADER


def record_answers(
    get_response: Callable[[HttpRequest], Any], recording: Recording, unmeasured: Container[str]
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Do what `RecordedRequest` does, which handles the rare requests.

    Those are the ones that fail, stream, belong to a trace or match no URL, and views that are not measured.
    """
    recorder, wanted = recording
    begin, finish, find_method = recorder.begin, recorder.finish, METHODS.get
    excludes_routes = bool(wanted.excluded_routes)
    sizes, first_byte, queries = wanted.measurements
    at_first_byte = 2 * sizes
    zeros: list[float | None] = [0.0] * (2 * sizes + first_byte + 2 * queries)

    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.path_info in unmeasured:
            response: HttpResponseBase = get_response(request)
            return response
        method = find_method(request.method, OTHER_METHOD)  # type: ignore[arg-type] # None is another, too
        values: Any = zeros[:]
        if queries:
            request_queries.set(values)  # counted in the last two
        begin(method)
        start = perf_counter()
        try:
            response = get_response(request)
        except BaseException as error:
            RecordedRequest(recording, request, start, values).fail(error)
            raise
        ended = perf_counter()
        match, meta = request.resolver_match, request.META
        if (
            match is None
            or excludes_routes
            or not isinstance(response, HttpResponse)
            or HEADER in meta
            or getattr(match.func, NOT_MEASURED, False)
            or hasattr(request, EXCEPTION)
        ):
            return RecordedRequest(recording, request, start, values).answer(response)
        seconds = ended - start
        if sizes:
            if meta.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in meta:
                values[0] = find_body_size(meta)
            values[1] = float(len(response.content))
        if first_byte:
            values[at_first_byte] = seconds
        route = match.view_name if match.url_name else match.route or "/"
        finish((method, route, response.status_code), seconds, "", values, ended)
        return response

    return answer
