"""One end of a connection: the client, or the upstream."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Protocol, cast

from injector.pipes import Pipe

# With this a closed socket sends RST instead of FIN: socket(7), SO_LINGER.
_NO_LINGER = struct.pack("ii", 1, 0)


class Taker(Protocol):
    """Receives the data that one side sends."""

    def feed(self, data: bytes) -> None: ...

    def feed_end(self) -> None: ...


class Ends(Protocol):
    """What a side needs of its connection."""

    unnoticed: set[str]

    def notice_faults(self) -> None: ...

    def take_direct_path(self) -> None: ...

    def side_has_opened(self, side: "Side") -> None: ...

    def side_is_lost(self, side: "Side", error: Exception | None) -> None: ...


class Side(asyncio.Protocol):
    """One end of a connection: `sends` takes its data, `receives` has the data for it.

    `takes` comes before `sends` while there are HTTP faults.
    """

    __slots__ = ("_connection", "_receives", "is_lost", "sends", "takes", "transport")

    def __init__(self, connection: Ends, sends: Pipe, receives: Pipe) -> None:
        self._connection = connection
        self.sends = sends
        self.takes: Taker = sends
        self._receives = receives
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = made = cast("asyncio.Transport", transport)
        with suppress(OSError):
            made.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sends.source = made
        self._receives.open_sink(made)
        self._connection.side_has_opened(self)

    @property
    def can_half_close(self) -> bool:
        return self.transport is None or self.transport.can_write_eof()

    @property
    def is_free(self) -> bool:
        """Whether the next data could go straight to the other side, and all data for that side is sent."""
        made = self.transport
        return (
            made is not None
            and self.takes is self.sends
            and self.sends.is_free
            and not made.is_closing()
            and not made.get_write_buffer_size()
            and made.get_extra_info("sslcontext") is None
        )

    @property
    def number(self) -> int:
        """The file descriptor of the socket. Only while the transport is open."""
        return int(self._open_transport.get_extra_info("socket").fileno())

    @property
    def _open_transport(self) -> asyncio.Transport:
        assert self.transport is not None  # noqa: S101 - `is_free` was asked
        return self.transport

    def pause_reading(self) -> None:
        self._open_transport.pause_reading()

    def resume_reading(self) -> None:
        self._open_transport.resume_reading()

    def write(self, data: bytes) -> None:
        self._open_transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Pass the data on, with all its faults."""
        if self._connection.unnoticed:
            self._connection.notice_faults()
        self.takes.feed(data)
        if self.takes is self.sends:
            self._connection.take_direct_path()

    def eof_received(self) -> bool:
        if self._connection.unnoticed:
            self._connection.notice_faults()
        self.takes.feed_end()
        return self.can_half_close  # the other direction goes on, which TLS does not support

    def pause_writing(self) -> None:
        self._receives.set_sink_full(True)

    def resume_writing(self) -> None:
        self._receives.set_sink_full(False)

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.side_is_lost(self, error)

    def fail(self, error: OSError) -> None:
        """Report an error of the socket that asyncio does not know."""
        self.connection_lost(error)
        self._open_transport.abort()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Let the other side see 'connection reset by peer'."""
        if self.transport is None:
            return
        if (found := self.transport.get_extra_info("socket")) is not None:
            with suppress(OSError):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()
