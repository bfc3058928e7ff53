"""The middleware and exposition for applications without Django: Starlette, FastAPI and other ASGI ones.

from metrics_app.asgi import RequestMetrics, exposition

app = FastAPI()
app.add_middleware(RequestMetrics)
app.mount("/metrics", exposition)
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any, Unpack

from metrics_app import current, standalone
from metrics_app.asgi_routes import Routes
from metrics_app.observed_request import parse_size
from metrics_app.recorders import RequestRecorder
from metrics_app.request_labels import (
    CLIENT_CLOSED_REQUEST,
    METHODS,
    OTHER_METHOD,
    SERVER_ERROR,
    UNMATCHED,
)
from metrics_app.scrape_answer import ScrapeAnswer, ScrapeRequest, expose, refuse_scrape
from metrics_app.sent_request import Details, Observation, SentRequest, find_observation
from metrics_app.standalone import StandaloneArguments
from metrics_app.trace_context import sampled_trace_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
FindRoute = Callable[[Scope], str | None]

LAST_PARTS = {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}
"""What the last part of an answer may be; servers' other extensions come before it."""
STATE = "metrics_app"
"""Where the request's state stands in its scope, for the exposition to find it."""


class RequestMetrics:
    """Counts and times every HTTP request, until the last part of its answer is passed to the server.

    `route` returns the template of a request's path after it was answered, or None if it matched none. By
    default, it is what Starlette and FastAPI leave in the scope. Requests whose path begins with one of
    `exclude` are not measured. The other arguments are those of `metrics_app.standalone`.

    Raises:
        AdapterSettingsError: a setting cannot be used.
        OSError: the directory cannot be made.
    """

    def __init__(
        self,
        app: Application,
        *,
        route: FindRoute | None = None,
        exclude: Iterable[str] = (),
        **settings: Unpack[StandaloneArguments],
    ) -> None:
        self.app = app
        self._routes = Routes(app)
        self._find_route = route or self._routes.find
        self._exclude = tuple(exclude)
        self._settings = standalone.set_up(settings)
        self._adapter: object = None
        self._recorder: RequestRecorder
        self._observation: Observation | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (self._exclude and scope["path"].startswith(self._exclude)):
            await self.app(scope, receive, send)
            return
        recorder = self._recorder if self._adapter is current.adapter and self._adapter else self._bind(scope)
        if self._observation is not None:
            await self._answer_observed(self._observation, scope, receive, send)
            return
        request = MeasuredRequest(recorder, scope["method"])
        scope[STATE] = request

        # Not a coroutine around each message: that would be a third of what measuring costs.
        def measured_send(message: MutableMapping[str, Any]) -> Awaitable[None]:
            kind = message["type"]
            if kind == "http.response.start":
                request.status = message["status"]
            elif kind in LAST_PARTS and not message.get("more_body"):
                # Counted before it is sent: no client may hold an answer that a killed process did not
                # count. What the application does afterwards does not belong to the answer.
                self._finish(request, scope, request.status)
            return send(message)

        try:
            await self.app(scope, receive, measured_send)
        except BaseException as error:
            # The server cancels an application whose client has gone.
            gone = isinstance(error, asyncio.CancelledError)
            self._finish(request, scope, (request.status or CLIENT_CLOSED_REQUEST) if gone else SERVER_ERROR)
            raise
        if not request.is_over:
            self._finish(request, scope, request.status or SERVER_ERROR)

    async def _answer_observed(
        self, observation: Observation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The same for a request with further measurements."""
        headers = dict(scope["headers"])
        is_chunked = b"transfer-encoding" in headers
        received = parse_size(_text(headers.get(b"content-length")), is_chunked=is_chunked)
        request = SentRequest(observation, scope, scope["method"], scope.get("scheme", "http"), received)
        request.traceparent = _text(headers.get(b"traceparent"))
        scope[STATE] = request

        def end(code: int) -> None:
            is_counted = self._settings.count_scrapes or not request.is_scrape
            request.end(code, lambda: self._find_route(scope), is_counted=is_counted)

        def measured_send(message: MutableMapping[str, Any]) -> Awaitable[None]:
            kind = message["type"]
            if kind == "http.response.start":
                request.status = message["status"]
                length = _text(dict(message.get("headers", ())).get(b"content-length"))
                request.length = parse_size(length, is_chunked=length is None)
            elif kind in LAST_PARTS:
                if kind == "http.response.body":
                    request.count(len(message.get("body", b"")))
                if not message.get("more_body"):
                    end(request.status)
            return send(message)

        try:
            await self.app(scope, receive, measured_send)
        except BaseException as error:
            gone = isinstance(error, asyncio.CancelledError)
            request.exception = "" if gone else type(error).__name__
            end((request.status or CLIENT_CLOSED_REQUEST) if gone else SERVER_ERROR)
            raise
        end(request.status or SERVER_ERROR)

    def _bind(self, scope: Scope) -> RequestRecorder:
        # Not before the first request, so that an application that was loaded before a fork takes no slot.
        metrics = current.get_metrics()
        metrics.announce()
        self._routes.enter(scope)
        settings = self._settings
        wanted = Details(
            settings.names, dict(settings.labels), settings.request_details, settings.max_label_sets
        )
        self._observation = find_observation(metrics, wanted)
        self._recorder, self._adapter = metrics.request_recorder(), metrics
        return self._recorder

    def _finish(self, request: "MeasuredRequest", scope: Scope, code: int) -> None:
        if request.is_over:
            return
        request.is_over = True
        ended = perf_counter()
        if request.is_scrape and not self._settings.count_scrapes:
            request.recorder.cancel(request.method)
            return
        try:
            route = self._find_route(scope) or UNMATCHED
        except Exception:  # noqa: BLE001 - whatever the framework or the caller's function raises
            route = UNMATCHED
        trace_id = ""
        for name, value in scope["headers"]:
            if name == b"traceparent":
                trace_id = sampled_trace_id(value.decode("latin-1"))
        seconds = ended - request.start
        request.recorder.finish((request.method, route, code), seconds, trace_id, ended)


class MeasuredRequest:
    """A request that is in progress from the creation of this object."""

    # Without a reference to the scope, which holds this object: only a garbage collection would free the two.
    __slots__ = ("is_over", "is_scrape", "method", "recorder", "start", "status")

    def __init__(self, recorder: RequestRecorder, method: str) -> None:
        self.recorder = recorder
        self.method = METHODS.get(method, OTHER_METHOD)
        self.status = 0
        self.is_over = self.is_scrape = False
        recorder.begin(self.method)
        self.start = perf_counter()


class Exposition:
    """Answers scrapes, as an ASGI application. Its arguments are those of `RequestMetrics`."""

    def __init__(self, **settings: Unpack[StandaloneArguments]) -> None:
        self._arguments = settings
        self._settings: standalone.StandaloneSettings | None = None

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']!r} is not a request that the exposition answers; use HTTP.")
        if STATE in scope:
            scope[STATE].is_scrape = True
        # In a thread, because it reads files and perhaps a database, while other requests go on.
        answer = await asyncio.to_thread(self._answer, _read_request(scope))
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    def _answer(self, request: ScrapeRequest) -> ScrapeAnswer:
        if self._settings is None:
            self._settings = standalone.set_up(self._arguments)
        refused = refuse_scrape(request, self._settings.token, self._settings.allowed_networks)
        return refused or expose(request, current.get_metrics().get_http_handler())


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _read_request(scope: Scope) -> ScrapeRequest:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return ScrapeRequest(
        scope["method"],
        client[0] if client else "",
        headers.get(b"authorization", ""),
        headers.get(b"accept", ""),
        headers.get(b"accept-encoding", ""),
    )


exposition = Exposition()
"""The exposition by the variables of the environment, or as `RequestMetrics` was told."""
