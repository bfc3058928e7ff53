"""Answers requests whose details an adapter's recorder takes, with few calls and no object for each."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from metrics_app.database import request_queries
from metrics_app.decorators import NOT_MEASURED
from metrics_app.detailed_request import EXCEPTION, RecordedRequest, Recording, find_body_size
from metrics_app.request_labels import METHODS, OTHER_METHOD
from metrics_app.trace_context import HEADER


class RecordedAnswers:
    """Does what `RecordedRequest` does, to which it leaves what few requests are.

    Those are the ones that fail, stream, belong to a trace or match no URL, and views that are not measured.
    """

    def __init__(self, recording: Recording, get_response: Callable[[HttpRequest], Any]) -> None:
        self._recording = recording
        self._get_response = get_response
        self._recorder, wanted = recording
        self._excludes_routes = bool(wanted.excluded_routes)
        self._sizes, self._first_byte, self._queries = wanted.measurements
        self._at_first_byte = 2 * self._sizes
        self._zeros: list[float | None] = [0.0] * (2 * self._sizes + self._first_byte + 2 * self._queries)

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        recorder, method = self._recorder, METHODS.get(request.method or "", OTHER_METHOD)
        values: Any = self._zeros[:]
        if self._queries:
            request_queries.set(values)  # counted in the last two
        recorder.begin(method)
        start = perf_counter()
        try:
            answer: HttpResponseBase = self._get_response(request)
        except BaseException as error:
            RecordedRequest(self._recording, request, start, values).fail(error)
            raise
        ended = perf_counter()
        match, meta = request.resolver_match, request.META
        if (
            match is None
            or self._excludes_routes
            or not isinstance(answer, HttpResponse)
            or HEADER in meta
            or getattr(match.func, NOT_MEASURED, False)
            or hasattr(request, EXCEPTION)
        ):
            return RecordedRequest(self._recording, request, start, values).answer(answer)
        seconds = ended - start
        if self._sizes:
            if meta.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in meta:
                values[0] = find_body_size(meta)
            values[1] = float(len(answer.content))
        if self._first_byte:
            values[self._at_first_byte] = seconds
        route = match.view_name if match.url_name else match.route or "/"
        recorder.finish((method, route, answer.status_code), seconds, "", values, ended)
        return answer
