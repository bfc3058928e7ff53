"""A place where clients expect their dependency: each connection goes on to the real one, with its faults."""

import asyncio
import logging
import random
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from injector.faults import Direction, Fault
from injector.pipes import Pipe

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 0.5
# With this a closed socket sends RST instead of FIN: socket(7), SO_LINGER.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Counts:
    connections: int = 0
    failed: int = 0
    """Connections whose upstream could not be reached."""
    refused: int = 0
    reset: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class Connection:
    """A client and its upstream."""

    def __init__(self, relay: "Relay", number: int) -> None:
        self._relay = relay
        self._number = number
        dice = random.Random(number)  # noqa: S311 - chooses delays and bits
        self.up = Pipe(Direction.UP, cut=self._end_by_fault, ended=self._look_for_end, dice=dice)
        self.down = Pipe(Direction.DOWN, cut=self._end_by_fault, ended=self._look_for_end, dice=dice)
        self.client = Side(self, self.up, self.down)
        self.upstream = Side(self, self.down, self.up)
        self._connecting: asyncio.Task[None] | None = None
        self._is_over = False

    def begin(self) -> None:
        """The client is there: connect to the upstream, while what the client sends waits."""
        faults = self._relay.find_faults(self._number)
        if any(fault.refuse or fault.reset for fault in faults.values()):
            self._relay.counts.refused += 1
            self.reset()
            return
        self._relay.open[self] = None
        self.set_faults(faults)
        self._connecting = asyncio.create_task(self._connect())

    def set_faults(self, faults: Mapping[str, Fault]) -> None:
        self.up.set_faults(faults)
        self.down.set_faults(faults)

    def apply_change(self) -> None:
        """The faults of the relay are others now."""
        faults = self._relay.find_faults(self._number)
        if any(fault.reset for fault in faults.values()):
            self._end_by_fault(True)
        else:
            self.set_faults(faults)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: self.upstream, *self._relay.upstream)
        except OSError:  # TimeoutError is one
            self._relay.counts.failed += 1
            self.reset()

    def side_has_opened(self, side: "Side") -> None:
        if side is self.client:
            self.begin()

    def side_is_lost(self, side: "Side", error: Exception | None) -> None:
        other = self.upstream if side is self.client else self.client
        if isinstance(error, ConnectionResetError):
            self.reset(only=other)
            return
        side.is_lost = True
        side.sends.feed_end()
        self._look_for_end()

    def _look_for_end(self) -> None:
        """It is over when all has arrived that both have sent, or that one has sent who is gone."""
        both = self.up.is_done and self.down.is_done
        if both or any(side.is_lost and side.sends.is_done for side in (self.client, self.upstream)):
            self.close()

    def _end_by_fault(self, is_reset: bool) -> None:
        if is_reset:
            self._relay.counts.reset += 1
            self.reset()
        else:
            self.close()

    def close(self) -> None:
        """Close both sides after what is already handed on."""
        self._finish()
        for side in (self.client, self.upstream):
            if side.transport is not None:
                side.transport.close()

    def reset(self, *, only: "Side | None" = None) -> None:
        """Both sides get RST."""
        self._finish()
        for side in (self.client, self.upstream) if only is None else (only,):
            if side.transport is not None:
                reset(side.transport)

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._relay.open.pop(self, None)
        self._relay.counts.bytes_up += self.up.passed
        self._relay.counts.bytes_down += self.down.passed
        self.up.close()
        self.down.close()
        if self._connecting is not None:
            self._connecting.cancel()


class Side(asyncio.Protocol):
    """One end of a connection: `sends` takes what comes from there, `receives` goes there."""

    def __init__(self, connection: Connection, sends: Pipe, receives: Pipe) -> None:
        self._connection = connection
        self.sends = sends
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

    def data_received(self, data: bytes) -> None:
        self.sends.feed(data)

    def eof_received(self) -> bool:
        self.sends.feed_end()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._receives.set_sink_full(True)

    def resume_writing(self) -> None:
        self._receives.set_sink_full(False)

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.side_is_lost(self, error)


class Relay:
    """Listens on `address` for `upstream`, both host and port. `name` is the address as it was configured."""

    def __init__(self, address: tuple[str, int], upstream: tuple[str, int]) -> None:
        self.address = address
        self.upstream = upstream
        self.name = f"{address[0]}:{address[1]}"
        self.counts = Counts()
        self.open: dict[Connection, None] = {}
        self._faults: dict[str, Fault] = {}
        self._server: asyncio.Server | None = None
        self._listening: asyncio.Task[None] | None = None
        self._is_stopped = False

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken, or not of this machine.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, *self.address)
        # A port of 0 is one that the system chooses.
        self.address = self._server.sockets[0].getsockname()[:2]

    def set_faults(self, faults: Mapping[str, Fault]) -> None:
        """Have these faults from now on, on established connections, too."""
        self._faults = dict(faults)
        for connection in list(self.open):
            connection.apply_change()
        if self._refuses_all():
            self._stop_listening()
        elif self._server is None and self._listening is None:
            self._listening = asyncio.create_task(self._listen_again())

    async def _listen_again(self) -> None:
        while not self._is_stopped and not self._refuses_all():
            try:
                await self.start()
                break
            except OSError as error:  # somebody has the port meanwhile
                logger.warning("%s: cannot listen again: %s", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)
        self._listening = None
        if self._refuses_all() or self._is_stopped:
            self._stop_listening()

    def _refuses_all(self) -> bool:
        return any(fault.refuse and fault.share >= 1 for fault in self._faults.values())

    def find_faults(self, number: int) -> dict[str, Fault]:
        """Those that the connection with this number has."""
        return {name: fault for name, fault in self._faults.items() if is_chosen(fault, number)}

    @property
    def bytes_passed(self) -> tuple[int, int]:
        """Up and down, those of open connections included."""
        up = sum(connection.up.passed for connection in self.open)
        down = sum(connection.down.passed for connection in self.open)
        return self.counts.bytes_up + up, self.counts.bytes_down + down

    def stop(self) -> None:
        self._is_stopped = True
        self._stop_listening()
        for connection in list(self.open):
            connection.close()

    def _accept(self) -> Side:
        self.counts.connections += 1
        return Connection(self, self.counts.connections).client

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def is_chosen(fault: Fault, number: int) -> bool:
    """Whether the connection with this number is of the share that has the fault: the same for a seed."""
    return fault.share >= 1 or random.Random(f"{fault.seed}/{number}").random() < fault.share  # noqa: S311 - no secret


def reset(transport: asyncio.Transport) -> None:
    """Have the other side see 'connection reset by peer'."""
    found = transport.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
