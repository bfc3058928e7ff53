"""One client and its upstream, with a pipe for each direction."""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from injector.direct import DirectPath
from injector.faults import Direction, Fault
from injector.forwarding import find_forwarding
from injector.http_faults import HttpRule, is_chosen
from injector.pipes import Pipe
from injector.sides import Side

if TYPE_CHECKING:
    from injector.http_exchanges import Exchanges

CONNECT_SECONDS = 10.0
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} \S{1,8192} HTTP/1\.[01]\r\n")


@dataclass(slots=True)
class Counts:
    connections: int = 0
    failed: int = 0
    """Connections whose upstream could not be reached."""
    distrusted: int = 0
    """Those of them whose upstream has a certificate that is not trusted."""
    refused: int = 0
    reset: int = 0
    turned_away: int = 0
    """Connections for which the proxy has no files left."""
    listening_failed: int = 0
    """Attempts to listen again after a refusal, while another process had the port."""
    unread: int = 0
    """Connections that did not use HTTP/1.1 while HTTP faults were active."""
    faulty_requests: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass(frozen=True, slots=True)
class Upstream:
    """The real place of the dependency. With `tls`, connections to it are encrypted."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Owner(Protocol):
    """What a connection needs of its relay."""

    counts: Counts
    open: dict["Connection", None]
    upstream: Upstream
    http_rules: dict[str, HttpRule]

    def find_faults(self, number: int) -> dict[str, Fault]: ...

    def count_touched(self, names: Iterable[str]) -> None: ...

    def note_trust(self, reason: str) -> None: ...

    def turns_away(self) -> bool: ...


class Connection:
    """A client and its upstream."""

    __slots__ = (
        "_closes_after_down",
        "_connecting",
        "_direct",
        "_exchanges",
        "_is_over",
        "_is_unreadable",
        "_number",
        "_relay",
        "client",
        "down",
        "unnoticed",
        "up",
        "upstream",
    )

    def __init__(self, relay: Owner, number: int) -> None:
        self._relay = relay
        self._number = number
        self.up = Pipe(Direction.UP, cut=self._end_by_fault, ended=self._look_for_end, seed=number)
        self.down = Pipe(Direction.DOWN, cut=self._end_by_fault, ended=self._look_for_end, seed=number)
        self.client = Side(self, self.up, self.down)
        self.upstream = Side(self, self.down, self.up)
        self._direct = DirectPath(find_forwarding(), self.client, self.upstream)
        self._connecting: asyncio.Task[None] | None = None
        self._exchanges: Exchanges | None = None
        self._is_unreadable = False
        self._closes_after_down = False
        self._is_over = False
        self.unnoticed: set[str] = set()
        """Faults that came after the connection, and that it meets with its next data."""

    def begin(self) -> None:
        """The client has connected: connect to the upstream, while the client's data waits."""
        if self._relay.turns_away():
            self.reset()
            return
        faults = self._relay.find_faults(self._number)
        self._relay.count_touched(faults)
        if any(fault.refuse or fault.reset for fault in faults.values()):
            self._relay.counts.refused += 1
            self.reset()
            return
        self._relay.open[self] = None
        self._change_faults(faults, ())
        if self._relay.http_rules:
            self.read_http()
        self._connecting = asyncio.create_task(self._connect())

    def apply_change(self, added: Mapping[str, Fault], removed: Sequence[str]) -> None:
        """Use the relay's new faults, and no longer the removed ones. A changed fault may be among both."""
        self._direct.leave()
        chosen = {
            name: fault for name, fault in added.items() if is_chosen(fault.share, fault.seed, self._number)
        }
        self.unnoticed.difference_update(removed)
        if resets := [name for name, fault in chosen.items() if fault.reset]:
            self._relay.count_touched(resets)
            self._end_by_fault(True)
            return
        self.unnoticed.update(name for name, fault in chosen.items() if fault.concerns_open_connections)
        self._change_faults(chosen, removed)
        rules = self._relay.http_rules
        if self._exchanges is not None:
            self._exchanges.set_rules(rules)
        elif not self._is_unreadable:
            # Where a message begins is known only after a request has arrived.
            self.client.takes = _FirstRequest(self) if rules else self.up

    def take_direct_path(self) -> None:
        """Nothing waits here, so perhaps the following data can pass directly."""
        if not self.unnoticed:
            self._direct.take()

    def notice_faults(self) -> None:
        """Data has arrived, or its end."""
        self._relay.count_touched(self.unnoticed)
        self.unnoticed.clear()

    def _change_faults(self, added: Mapping[str, Fault], removed: Sequence[str]) -> None:
        if added or removed:
            self.up.change_faults(added, removed)
            self.down.change_faults(added, removed)

    def read_http(self) -> None:
        """From now on, apply HTTP faults to requests and responses."""
        # Imported only if needed, because h11 may be missing.
        from injector.http_exchanges import Exchanges  # noqa: PLC0415

        self._direct.leave()
        exchanges = Exchanges(
            self.up, self.down, finish=self._close_after_down, leave=self._leave_http, hit=self._count_hit
        )
        self._exchanges = exchanges
        self.client.takes = _Taken(exchanges.feed_request, exchanges.end_requests)
        self.upstream.takes = _Taken(exchanges.feed_response, exchanges.end_responses)
        exchanges.set_rules(self._relay.http_rules)

    def _count_hit(self) -> None:
        self._relay.counts.faulty_requests += 1

    def _leave_http(self, is_unreadable: bool) -> None:
        self._relay.counts.unread += is_unreadable
        self._is_unreadable = is_unreadable
        self._exchanges = None
        self.client.takes, self.upstream.takes = self.up, self.down

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        upstream = self._relay.upstream
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(
                    lambda: self.upstream,
                    upstream.host,
                    upstream.port,
                    ssl=upstream.tls,
                    server_hostname=(upstream.server_name or upstream.host) if upstream.tls else None,
                )
        # TimeoutError and SSLError are OSErrors; a name with invalid labels is a ValueError.
        except (OSError, ValueError) as error:
            self._relay.counts.failed += 1
            if isinstance(error, ssl.SSLCertVerificationError):
                self._relay.counts.distrusted += 1
                self._relay.note_trust(error.verify_message)
            self.reset()
        else:
            self._relay.note_trust("")

    def side_has_opened(self, side: Side) -> None:
        if side is self.client:
            self.begin()
        elif self._is_over:
            side.close()

    def side_is_lost(self, side: Side, error: Exception | None) -> None:
        other = self.upstream if side is self.client else self.client
        if isinstance(error, ConnectionResetError):
            self.reset(only=other)
            return
        side.is_lost = True
        side.takes.feed_end()
        self._look_for_end()

    def _look_for_end(self) -> None:
        """It is over when the data of both sides has arrived, or that of a side that is gone."""
        is_down_done = self.down.is_done and (self._closes_after_down or not self.client.can_half_close)
        both = self.up.is_done and self.down.is_done
        lost = any(side.is_lost and side.sends.is_done for side in (self.client, self.upstream))
        if is_down_done or both or lost:
            self.close()

    def _close_after_down(self) -> None:
        """Send the client what the pipe to it has, and then the end."""
        self._closes_after_down = True
        self.down.feed_end()

    def _end_by_fault(self, is_reset: bool) -> None:
        if is_reset:
            self._relay.counts.reset += 1
            self.reset()
        else:
            self.close()

    def close(self) -> None:
        """Close both sides after the data that was already passed on."""
        self._finish()
        for side in (self.client, self.upstream):
            side.close()

    def reset(self, *, only: Side | None = None) -> None:
        """Send RST to both sides."""
        self._finish()
        for side in (self.client, self.upstream) if only is None else (only,):
            side.reset()

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._direct.leave()
        self._relay.open.pop(self, None)
        self._relay.counts.bytes_up += self.up.passed
        self._relay.counts.bytes_down += self.down.passed
        self.up.close()
        self.down.close()
        if self._exchanges is not None:
            self._exchanges.close()
        if self._connecting is not None:
            self._connecting.cancel()


class _Taken:
    __slots__ = ("feed", "feed_end")

    def __init__(self, feed: Callable[[bytes], None], feed_end: Callable[[], None]) -> None:
        self.feed = feed
        self.feed_end = feed_end


class _FirstRequest:
    """Waits for a request on a connection that was there before the first fault of HTTP."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def feed(self, data: bytes) -> None:
        if _REQUEST_LINE.match(data):
            self._connection.read_http()
            self._connection.client.takes.feed(data)
        else:
            self._connection.up.feed(data)

    def feed_end(self) -> None:
        self._connection.up.feed_end()
