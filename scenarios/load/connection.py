"""A lean HTTP/1.1 client: connections that are kept, one request at a time on each, answers read by h11.

aiohttp's client takes twice the time for each request: its sessions, timers and streams serve more than a
load needs, which only wants the status and the moment of the last byte.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import h11

from scenarios.load.pace import TIMEOUT

Answered = Callable[["Exchange", str], None]
# What h11 is told about each request, so that it knows how the answer ends. The real bytes are sent.
_GET, _HEAD = (
    h11.Request(method=method, target="/", headers=[("Host", "load")]) for method in ("GET", "HEAD")
)
_END = h11.EndOfMessage()


@dataclass(slots=True, eq=False)
class Exchange:
    """One request on its way. `status` is 0 until the answer begins."""

    due: float
    deadline: float
    content: bytes
    place: Any
    trace_id: str = ""
    connection: "Connection | None" = None
    status: int = 0
    is_over: bool = False
    was_sent_again: bool = False


@dataclass(slots=True)
class Target:
    """Where the requests go: addresses that were admitted, in the order in which they are tried."""

    host: str
    addresses: Sequence[tuple[str, int]]
    tls: ssl.SSLContext | None = None
    is_head: bool = False
    may_repeat: bool = True


class Connection(asyncio.Protocol):
    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._parser = h11.Connection(h11.CLIENT)
        self._exchange: Exchange | None = None
        self._has_answered = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP and TLS connections are streams
        self.transport = transport

    def send(self, exchange: Exchange) -> None:
        assert self.transport is not None  # noqa: S101 - only connections that are made are used
        self._exchange = exchange
        exchange.connection = self
        self._parser.send(_HEAD if self._pool.target.is_head else _GET)
        self._parser.send(_END)
        self.transport.write(exchange.content)

    def abort(self) -> None:
        self._exchange = None
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.abort()  # an answer that nobody has asked for
            return
        try:
            self._parser.receive_data(data)
            is_complete = self._read_events(exchange)
        except h11.RemoteProtocolError:
            self._finish(exchange, "not HTTP")
            self.abort()
            return
        if is_complete:
            self._complete(exchange)

    def _read_events(self, exchange: Exchange) -> bool:
        """Whether the answer has ended."""
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                return False
            if event is h11.PAUSED:
                raise h11.RemoteProtocolError("the connection was switched to another protocol")
            if isinstance(event, h11.Response):
                exchange.status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                return True
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed before the answer")

    def _complete(self, exchange: Exchange) -> None:
        self._finish(exchange, "")
        if self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()
            self._has_answered = True
            self._pool.give_back(self)
        else:
            self.abort()

    def _finish(self, exchange: Exchange, error: str) -> None:
        self._exchange = None
        self._pool.finish(exchange, error)

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.forget(self)
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.status and self._ends_with_connection():
            self._finish(exchange, "")
            return
        self._exchange = None
        is_stale = self._has_answered and not exchange.status and not exchange.was_sent_again
        if is_stale and self._pool.target.may_repeat:
            # The server closed the idle connection while the request was on its way. RFC 9110, 9.2.2
            exchange.was_sent_again = True
            self._pool.send_on_new_connection(exchange)
        else:
            self._pool.finish(exchange, "connection reset" if error else "connection closed")

    def _ends_with_connection(self) -> bool:
        """Whether the end of the connection ends the answer, because nothing says how long it is."""
        try:
            self._parser.receive_data(b"")
            return isinstance(self._parser.next_event(), h11.EndOfMessage)
        except h11.RemoteProtocolError:
            return False


@dataclass(slots=True)
class Pool:
    """Connections that are idle are used again, the last one first. `answered` is called when a request ends.

    `max_connections` limits those that are open or being opened.
    """

    target: Target
    answered: Answered
    max_connections: int
    _idle: list[Connection] = field(default_factory=list)
    _open: int = 0
    _opening: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        return not self._idle and self._open >= self.max_connections

    def send(self, exchange: Exchange) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                connection.send(exchange)
                return
        self.send_on_new_connection(exchange)

    def send_on_new_connection(self, exchange: Exchange) -> None:
        self._open += 1
        opening = asyncio.get_running_loop().create_task(self._open_and_send(exchange))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open_and_send(self, exchange: Exchange) -> None:
        connection = Connection(self)
        error = ""
        for address, port in self.target.addresses:
            error = await self._open_at(address, port, connection, exchange.deadline)
            if not error:
                break
        if error:
            self._open -= 1
            self.finish(exchange, error)
        elif exchange.is_over:
            self.give_back(connection)
        else:
            connection.send(exchange)

    async def _open_at(self, address: str, port: int, connection: Connection, deadline: float) -> str:
        """What kept the connection from being made; "" if it is."""
        name = self.target.host if self.target.tls is not None else None
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, address, port, ssl=self.target.tls, server_hostname=name
                )
        except TimeoutError:
            return TIMEOUT
        except ConnectionRefusedError:
            return "connection refused"
        except ssl.SSLError:
            return "TLS failed"
        except OSError:
            return "not reachable"
        return ""

    def give_back(self, connection: Connection) -> None:
        if connection.transport is not None and not connection.transport.is_closing():
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def finish(self, exchange: Exchange, error: str) -> None:
        if not exchange.is_over:
            exchange.is_over = True
            exchange.connection = None
            self.answered(exchange, error)
