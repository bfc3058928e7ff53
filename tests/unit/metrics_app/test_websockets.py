"""WebSockets as an ASGI server reports them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest

from metrics_app import current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.websockets import WebSocketMetrics, find_template_of_channels

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

ROUTE = {"route": "/room/{room}"}
CONNECT: Message = {"type": "websocket.connect"}
TEXT: Message = {"type": "websocket.receive", "text": "hello"}


def gone(code: int) -> Message:
    return {"type": "websocket.disconnect", "code": code}


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Answers each message until the client has gone."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": "hello"})


def serve(app: Application, incoming: Iterable[Message]) -> None:
    scope = {"type": "websocket", "path": "/room/7", "headers": []}
    waiting = iter(incoming)

    async def receive() -> Message:
        return next(waiting)

    async def send(_message: Message) -> None: ...

    asyncio.run(WebSocketMetrics(app, route=lambda _scope: "/room/{room}")(scope, receive, send))


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricsAdapter]:
    made = InMemoryMetricsAdapter()
    monkeypatch.setattr(current, "adapter", made)
    yield made
    made.close()


def ended(metrics: InMemoryMetricsAdapter, code: str) -> float:
    return metrics.value("websocket_connections_total", {**ROUTE, "code": code})


def test_a_connection_and_its_messages_are_counted(metrics: InMemoryMetricsAdapter) -> None:
    serve(echo, [CONNECT, TEXT, TEXT, gone(1001)])
    assert ended(metrics, "1001") == 1
    received = metrics.value("websocket_messages_total", {**ROUTE, "direction": "received"})
    sent = metrics.value("websocket_messages_total", {**ROUTE, "direction": "sent"})
    assert (received, sent) == (2, 2)
    assert len(metrics.observations("websocket_connection_duration_seconds", ROUTE)) == 1
    assert metrics.value("websocket_connections_open", ROUTE) == 0


def test_a_connection_is_open_from_its_acceptance_to_its_end(metrics: InMemoryMetricsAdapter) -> None:
    seen = []

    async def look(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append(metrics.value("websocket_connections_open", ROUTE))
        await send({"type": "websocket.accept"})
        seen.append(metrics.value("websocket_connections_open", ROUTE))
        await send({"type": "websocket.close", "code": 1000})
        seen.append(metrics.value("websocket_connections_open", ROUTE))

    serve(look, [CONNECT])
    assert seen == [0, 1, 0]
    assert ended(metrics, "1000") == 1


def test_a_connection_that_is_refused_has_no_duration(metrics: InMemoryMetricsAdapter) -> None:
    async def refuse(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    serve(refuse, [CONNECT])
    assert ended(metrics, "403") == 1
    assert not metrics.observations("websocket_connection_duration_seconds", ROUTE)


def test_an_application_that_raises_ends_the_connection(metrics: InMemoryMetricsAdapter) -> None:
    async def fail(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        serve(fail, [CONNECT])
    assert ended(metrics, "1011") == 1
    assert metrics.value("websocket_connections_open", ROUTE) == 0


@pytest.mark.parametrize("code", [3000, 4001, 4999])
def test_codes_of_applications_are_one_series(metrics: InMemoryMetricsAdapter, code: int) -> None:
    serve(echo, [CONNECT, gone(code)])
    assert ended(metrics, "application") == 1


@pytest.mark.parametrize(
    ("path", "url_route", "template"),
    [
        ("/ws/room/7/", {"args": (), "kwargs": {"room": "7"}}, "/ws/room/{room}/"),
        ("/ws/7/7", {"args": (), "kwargs": {"room": "7", "seat": 7}}, "/ws/{room}/{seat}"),
        ("/ws/7", {"args": ("7",), "kwargs": {}}, "/ws/{0}"),
        ("/ws/lobby", {"args": (), "kwargs": {}}, "/ws/lobby"),
    ],
)
def test_the_template_of_a_consumers_path_is_found_by_its_parameters(
    path: str, url_route: dict[str, Any], template: str
) -> None:
    assert find_template_of_channels({"path": path, "url_route": url_route}) == template


def test_a_parameter_that_was_converted_leaves_no_part_of_the_path_to_a_client() -> None:
    scope = {"path": "/ws/007/secret", "url_route": {"args": (), "kwargs": {"room": 7, "rest": "secret"}}}
    assert find_template_of_channels(scope) is None


def test_a_path_that_no_router_has_matched_is_never_a_route() -> None:
    assert find_template_of_channels({"path": "/anything/at/all"}) is None
