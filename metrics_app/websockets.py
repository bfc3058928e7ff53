"""Connections and messages of WebSockets, in Starlette and FastAPI, and in consumers of Django Channels.

from metrics_app.websockets import WebSocketMetrics

application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": WebSocketMetrics(URLRouter(routes))}
)
"""

from collections.abc import Callable, MutableMapping
from time import perf_counter
from typing import Any, Unpack

from metrics_app import metrics, standalone
from metrics_app.asgi_routes import Routes
from metrics_app.request_labels import UNMATCHED
from metrics_app.standalone import StandaloneArguments

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

CONNECTION_BUCKETS = (0.1, 1, 10, 60, 300, 1800, 3600, 7200, 21600, 86400)
NORMAL, ABNORMAL, INTERNAL_ERROR = 1000, 1006, 1011
"""Codes with which a connection ends: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1"""
REFUSED = 403
"""What a client is answered whose connection the application does not accept."""
MIN_APPLICATION_CODE = 3000
"""From here on codes are each application's own, and any number of them could be sent."""

connections = metrics.counter(
    "websocket_connections_total",
    "WebSocket connections that ended, by the code of the end; refused ones have 403.",
    ("route", "code"),
)
open_connections = metrics.gauge(
    "websocket_connections_open", "WebSocket connections that are open.", ("route",), merge="sum_of_living"
)
durations = metrics.histogram(
    "websocket_connection_duration_seconds",
    "Time for which an accepted WebSocket connection was open.",
    ("route",),
    CONNECTION_BUCKETS,
)
messages = metrics.counter(
    "websocket_messages_total", "WebSocket messages, received or sent.", ("route", "direction")
)


class WebSocketMetrics:
    """Measures every WebSocket connection of the application; other requests pass unmeasured.

    `route` gets the scope once the connection is accepted, and returns the template of its path, or None if
    it matched none. The other arguments are those of `metrics_app.standalone`; under Django they are not
    needed.

    Raises:
        AdapterSettingsError: a setting cannot be used.
        OSError: the directory cannot be made.
    """

    def __init__(
        self,
        app: Any,
        *,
        route: Callable[[Scope], str | None] | None = None,
        **settings: Unpack[StandaloneArguments],
    ) -> None:
        self.app = app
        self._routes = Routes(app)
        self._find_route = route or self._find_template
        standalone.set_up(settings)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        self._routes.enter(scope)
        connection = Connection(scope, self._find)

        async def measured_receive() -> Message:
            message: Message = await receive()
            connection.receive(message)
            return message

        async def measured_send(message: Message) -> None:
            await send(message)
            connection.send(message)

        try:
            await self.app(scope, measured_receive, measured_send)
        except BaseException:
            connection.end(INTERNAL_ERROR)
            raise
        connection.end(NORMAL)

    def _find(self, scope: Scope) -> str:
        try:
            return self._find_route(scope) or UNMATCHED
        except Exception:  # noqa: BLE001 - whatever the framework or the caller's function raises
            return UNMATCHED

    def _find_template(self, scope: Scope) -> str | None:
        return self._routes.find(scope) or find_template_of_channels(scope)


class Connection:
    """One connection from its handshake to its end, which is recorded once."""

    def __init__(self, scope: Scope, find_route: Callable[[Scope], str]) -> None:
        self._scope = scope
        self._find_route = find_route
        self._route = ""
        self._accepted_at: float | None = None
        self._is_over = False

    def receive(self, message: Message) -> None:
        if message["type"] == "websocket.receive":
            messages.labels(self._route, "received").inc()
        elif message["type"] == "websocket.disconnect":
            self.end(message.get("code") or ABNORMAL)

    def send(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            self._route = self._find_route(self._scope)
            self._accepted_at = perf_counter()
            open_connections.labels(self._route).inc()
        elif message["type"] == "websocket.send":
            messages.labels(self._route, "sent").inc()
        elif message["type"] == "websocket.close":
            self.end(REFUSED if self._accepted_at is None else message.get("code") or NORMAL)
        elif message["type"] == "websocket.http.response.start":
            self.end(message["status"])

    def end(self, code: int) -> None:
        if self._is_over:
            return
        self._is_over = True
        route = self._route or self._find_route(self._scope)
        connections.labels(route, "application" if code >= MIN_APPLICATION_CODE else str(code)).inc()
        if self._accepted_at is not None:
            durations.labels(route).observe(perf_counter() - self._accepted_at)
            open_connections.labels(route).dec()


def find_template_of_channels(scope: Scope) -> str | None:
    """Channels leaves the values of a path's parameters in the scope, but not the pattern with them."""
    found = scope.get("url_route")
    if not isinstance(found, dict):
        return None
    parameters = [*found.get("kwargs", {}).items(), *enumerate(found.get("args", ()))]
    template = f"/{scope['path']}/"
    for name, value in parameters:
        replaced = template.replace(f"/{value}/", f"/{{{name}}}/", 1)
        if replaced == template:
            return None  # it was converted, as '007' to 7: what remains could be any text from a client
        template = replaced
    return template[1:-1]
