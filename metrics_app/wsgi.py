"""The same middleware and exposition for WSGI applications without Django: Flask, Falcon, plain WSGI.

from metrics_app.wsgi import RequestMetrics, exposition

app.wsgi_app = RequestMetrics(app.wsgi_app, route=find_route)
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Unpack

from metrics_app import current, standalone
from metrics_app.ports import RequestRecorder
from metrics_app.request_labels import METHODS, OTHER_METHOD, SERVER_ERROR, UNMATCHED
from metrics_app.scrape_answer import ScrapeRequest, expose, refuse_scrape
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

    `route` tells from the environ, once a request is answered, the template of its path, or None if it
    matched none: left out, every request is `unmatched`. Requests whose path begins with one of `exclude`
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

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self._exclude and environ.get("PATH_INFO", "").startswith(self._exclude):
            return self.app(environ, start_response)
        recorder = self._recorder if self._adapter is current.adapter and self._adapter else self._bind()
        request = MeasuredRequest(recorder, environ, self._finish)
        environ[STATE] = request

        def start_measured(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            request.status = int(status[:3])
            return start_response(status, headers, *exc_info)

        try:
            content = self.app(environ, start_measured)
        except BaseException:
            request.end(SERVER_ERROR)
            raise
        if isinstance(content, list | tuple) or _is_file(environ, content):
            # All of it is there, or the server sends it by its own means if it gets the object itself.
            request.end(request.status)
            return content
        return TimedContent(content, request)

    def _bind(self) -> RequestRecorder:
        # Not before a request is there: what was loaded before a fork takes no slot.
        metrics = current.get_metrics()
        metrics.announce()
        self._recorder, self._adapter = metrics.request_recorder(), metrics
        return self._recorder

    def _finish(self, request: "MeasuredRequest", code: int) -> None:
        seconds = perf_counter() - request.start
        if request.is_scrape and not self._settings.count_scrapes:
            request.recorder.cancel(request.method)
            return
        try:
            route = self._find_route(request.environ) or UNMATCHED
        except Exception:  # noqa: BLE001 - whatever the caller's function raises
            route = UNMATCHED
        traceparent = request.environ.get(HEADER)
        trace_id = sampled_trace_id(traceparent) if traceparent else ""
        request.recorder.finish(request.method, route, code or SERVER_ERROR, seconds, trace_id)


class MeasuredRequest:
    """A request in progress from the moment this is made until it is ended."""

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

    def end(self, code: int) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish(self, code)


class TimedContent:
    """Ends the request with its last part, with an error, by being closed, or by being let go of."""

    def __init__(self, content: Iterable[bytes], request: MeasuredRequest) -> None:
        self._content = content
        self._parts = iter(content)
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._parts)
        except StopIteration:
            self._request.end(self._request.status)
            raise
        except BaseException:
            self._request.end(SERVER_ERROR)
            raise

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
    """Answers scrapes: a WSGI application of its own. Its arguments are those of `RequestMetrics`."""

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
