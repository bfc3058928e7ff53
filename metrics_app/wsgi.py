"""The middleware and exposition for WSGI applications without Django: Flask, Falcon, plain WSGI.

from metrics_app.wsgi import RequestMetrics, exposition

app.wsgi_app = RequestMetrics(app.wsgi_app, route=find_route)
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Unpack, cast

from metrics_app import current, standalone
from metrics_app.observed_request import parse_size
from metrics_app.recorders import RequestRecorder
from metrics_app.request_labels import METHODS, OTHER_METHOD, SERVER_ERROR, UNMATCHED
from metrics_app.scrape_answer import ScrapeRequest, expose, refuse_scrape
from metrics_app.sent_request import Details, Observation, SentRequest, find_observation
from metrics_app.standalone import StandaloneArguments
from metrics_app.trace_context import HEADER, sampled_trace_id

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

STATE = "metrics_app"
FindRoute = Callable[[dict[str, Any]], str | None]


def no_route(_environ: dict[str, Any]) -> None:
    """WSGI does not say which route a request matched."""


class RequestMetrics:
    """Counts and times every request, to the last byte of its answer.

    `route` gets the environ after a request was answered, and returns the template of its path, or None if it
    matched none. Without it, every request is `unmatched`. Requests whose path begins with one of `exclude`
    are not measured. The other arguments are those of `metrics_app.standalone`.

    Raises:
        AdapterSettingsError: a setting cannot be used.
        OSError: the directory cannot be made.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        route: FindRoute = no_route,
        exclude: Iterable[str] = (),
        **settings: Unpack[StandaloneArguments],
    ) -> None:
        self.app = app
        self._find_route = route
        self._exclude = tuple(exclude)
        self._settings = standalone.set_up(settings)
        self._adapter: object = None
        self._recorder: RequestRecorder
        self._observation: Observation | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self._exclude and environ.get("PATH_INFO", "").startswith(self._exclude):
            return self.app(environ, start_response)
        recorder = self._recorder if self._adapter is current.adapter and self._adapter else self._bind()
        request: MeasuredRequest
        if self._observation is None:
            request = MeasuredRequest(recorder, environ, self._finish)
        else:
            request = ObservedWsgiRequest(self._observation, environ, self._finish_observed)
        environ[STATE] = request

        def start_measured(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            request.start_response(int(status[:3]), headers)
            return start_response(status, headers, *exc_info)

        try:
            content = self.app(environ, start_measured)
        except BaseException as error:
            request.fail(error)
            raise
        if isinstance(content, list | tuple) or _is_file(environ, content):
            # All of it is there, or the server can send it itself if it gets the object unchanged.
            if isinstance(content, list | tuple):
                request.count(content)
            request.end(request.status)
            return content
        return TimedContent(content, request)

    def _bind(self) -> RequestRecorder:
        # Not before the first request, so that an application that was loaded before a fork takes no slot.
        metrics = current.get_metrics()
        metrics.announce()
        settings = self._settings
        wanted = Details(
            settings.names, dict(settings.labels), settings.request_details, settings.max_label_sets
        )
        self._observation = find_observation(metrics, wanted)
        self._recorder, self._adapter = metrics.request_recorder(), metrics
        return self._recorder

    def _finish(self, request: "MeasuredRequest", code: int) -> None:
        ended = perf_counter()
        if request.is_scrape and not self._settings.count_scrapes:
            request.recorder.cancel(request.method)
            return
        try:
            route = self._find_route(request.environ) or UNMATCHED
        except Exception:  # noqa: BLE001 - whatever the caller's function raises
            route = UNMATCHED
        traceparent = request.environ.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        seconds = ended - request.start
        code = code or SERVER_ERROR
        request.recorder.finish((request.method, route, code), seconds, trace_id, ended)

    def _finish_observed(self, request: "MeasuredRequest", code: int) -> None:
        sent = cast("ObservedWsgiRequest", request).sent
        is_counted = self._settings.count_scrapes or not request.is_scrape
        sent.end(code or SERVER_ERROR, lambda: self._find_route(request.environ), is_counted=is_counted)


class MeasuredRequest:
    """A request that is in progress from the creation of this object until its end."""

    __slots__ = ("_finish", "environ", "is_scrape", "method", "recorder", "start", "status")

    def __init__(
        self,
        recorder: RequestRecorder,
        environ: dict[str, Any],
        finish: "Callable[[MeasuredRequest, int], None]",
    ) -> None:
        self.recorder = recorder
        self.environ = environ
        self._finish: Callable[[MeasuredRequest, int], None] | None = finish
        self.method = METHODS.get(environ["REQUEST_METHOD"], OTHER_METHOD)
        self.status = 0
        self.is_scrape = False
        recorder.begin(self.method)
        self.start = perf_counter()

    def start_response(self, status: int, headers: list[tuple[str, str]]) -> None:  # noqa: ARG002
        self.status = status

    def count(self, parts: Sequence[bytes]) -> None:
        """Count bytes that are sent now."""

    def fail(self, _error: BaseException) -> None:
        self.end(SERVER_ERROR)

    def end(self, code: int) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish(self, code)


class ObservedWsgiRequest(MeasuredRequest):
    """A request with further measurements."""

    __slots__ = ("sent",)

    def __init__(
        self,
        observation: Observation,
        environ: dict[str, Any],
        finish: Callable[[MeasuredRequest, int], None],
    ) -> None:
        self.environ = environ
        self._finish = finish
        self.status = 0
        self.is_scrape = False
        method, scheme = environ["REQUEST_METHOD"], environ.get("wsgi.url_scheme", "http")
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        received = parse_size(environ.get("CONTENT_LENGTH"), is_chunked=is_chunked)
        self.sent = SentRequest(observation, environ, method, scheme, received)
        self.sent.traceparent = environ.get(HEADER)

    def start_response(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status = status
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self.sent.length = parse_size(length, is_chunked=length is None)

    def count(self, parts: Sequence[bytes]) -> None:
        self.sent.count(sum(map(len, parts)))

    def fail(self, error: BaseException) -> None:
        self.sent.exception = type(error).__name__
        self.end(SERVER_ERROR)


class TimedContent:
    """Ends the request with its last part, with an error, when closed, or when garbage collected."""

    def __init__(self, content: Iterable[bytes], request: MeasuredRequest) -> None:
        self._content = content
        self._parts = iter(content)
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            part = next(self._parts)
        except StopIteration:
            self._request.end(self._request.status)
            raise
        except BaseException as error:
            self._request.fail(error)
            raise
        self._request.count((part,))
        return part

    def close(self) -> None:
        try:
            close = getattr(self._content, "close", None)
            if close is not None:
                close()
        finally:
            self._request.end(self._request.status)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._request.end(SERVER_ERROR)


def _is_file(environ: "WSGIEnvironment", content: object) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(content, wrapper)


class Exposition:
    """Answers scrapes, as a WSGI application. Its arguments are those of `RequestMetrics`."""

    def __init__(self, **settings: Unpack[StandaloneArguments]) -> None:
        self._arguments = settings
        self._settings: standalone.StandaloneSettings | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if STATE in environ:
            environ[STATE].is_scrape = True
        if self._settings is None:
            self._settings = standalone.set_up(self._arguments)
        request = ScrapeRequest(
            environ["REQUEST_METHOD"],
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_AUTHORIZATION", ""),
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
        )
        answer = refuse_scrape(request, self._settings.token, self._settings.allowed_networks)
        answer = answer or expose(request, current.get_metrics().get_http_handler())
        start_response(f"{answer.status} {REASONS[answer.status]}", list(answer.headers.items()))
        return [answer.content]


REASONS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed"}

exposition = Exposition()
"""The exposition by the variables of the environment, or as `RequestMetrics` was told."""
