"""Connections by ssh that are kept for the next call of the same event loop.

A run calls its hosts several times at its beginning and its end, and with each renewal. Its event loop closes
the connections when it ends, or when they have been unused for some time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from weakref import WeakKeyDictionary

import asyncssh

from scenarios.drivers.host_sessions import KeptSession, Session, build_serving_command

UNUSED_SECONDS = 20.0
CLOSE_SECONDS = 2.0
# The host may be gone since: then a new connection says whether it can be reached.
OPEN_SECONDS = 3.0

Connection = asyncssh.SSHClientConnection
Process = asyncssh.SSHClientProcess[bytes]
Connect = Callable[[], Awaitable[Connection]]


class NotStartedError(Exception):
    """The host starts no process for a call: nothing was sent to one."""


class KeptConnection:
    """A connection that a task of the event loop closes when nobody needs it, or when the loop ends."""

    def __init__(self, connection: Connection, key: Hashable) -> None:
        self.connection = connection
        self.session = KeptSession(connection, key)
        self._calls = 0
        self._is_dropped = False
        self._is_over = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        return not (self._is_dropped or self._is_over.is_set() or self.connection.is_closed())

    def drop(self) -> None:
        """Take no further calls. Those that go on have limits of their own."""
        self._is_dropped = True

    @contextmanager
    def use(self) -> Iterator[None]:
        if self._timer is not None:
            self._timer.cancel()
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self.end_soon()

    def end_soon(self) -> None:
        """Close it unless another call comes."""
        seconds = 0.0 if self._is_dropped else UNUSED_SECONDS
        self._timer = asyncio.get_running_loop().call_later(seconds, self._is_over.set)

    async def hold(self) -> None:
        try:
            await self._is_over.wait()
        finally:  # or the loop ends, which cancels its tasks
            self.drop()
            self.session.close()
            self.connection.close()
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.connection.wait_closed()
            except (TimeoutError, OSError, asyncssh.Error):
                self.connection.abort()


_kept: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, KeptConnection]] = WeakKeyDictionary()
_connecting: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Task[KeptConnection]]] = (
    WeakKeyDictionary()
)
_holding: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def open_session(
    key: Hashable, command: str, connect: Connect
) -> AsyncIterator[tuple[Connection, Session] | None]:
    """A process that serves, by the connection for this key.

    None if the host has none, or if it answers other calls for long: use `open_process` then. Nothing of this
    call was sent.

    Raises:
        OSError, asyncssh.Error: the session broke; also whatever `connect` raises.
    """
    serving = build_serving_command(command)
    if not serving:
        yield None
        return
    kept = await _find_connection(key, connect)
    with kept.use():
        try:
            async with kept.session.take(serving, OPEN_SECONDS) as session:
                yield None if session is None else (kept.connection, session)
        except BaseException:
            kept.drop()
            raise
        if kept.session.is_broken:
            kept.drop()


@asynccontextmanager
async def open_process(
    key: Hashable, command: str, connect: Connect, *, seconds: float
) -> AsyncIterator[tuple[Connection, Process]]:
    """Run the command by the connection that was made for this key, or by a new one.

    Raises:
        NotStartedError: a new connection has not started the process after so many seconds, or cannot.
        OSError, asyncssh.Error: the connection broke; also whatever `connect` raises.
    """
    kept = await _find_connection(key, connect)
    with kept.use():
        if (process := await _start_soon(kept, command)) is not None:
            async with _closing(kept, process):
                yield kept.connection, process
            kept.session.note_answer()
            return
    kept = _keep(key, await connect())
    with kept.use():
        try:
            async with asyncio.timeout(seconds):
                process = await kept.connection.create_process(command, encoding=None)
        except (TimeoutError, OSError, asyncssh.Error) as error:
            kept.drop()
            raise NotStartedError(str(error) or f"it did not answer within {seconds:g} s") from error
        except BaseException:
            kept.drop()
            raise
        async with _closing(kept, process):
            yield kept.connection, process


async def _find_connection(key: Hashable, connect: Connect) -> KeptConnection:
    """The one that is kept for this key, or a new one, which other calls may wait for, too.

    The faults of a run ask their host at the same time: sshd refuses many connections at once (MaxStartups).
    """
    loop = asyncio.get_running_loop()
    kept = _kept.get(loop, {}).get(key)
    if kept is not None and kept.is_usable:
        return kept
    connecting = _connecting.setdefault(loop, {})
    task = connecting.get(key)
    if task is None:

        async def connect_and_keep() -> KeptConnection:
            return _keep(key, await connect())

        def forget(done: asyncio.Task[KeptConnection]) -> None:
            del connecting[key]
            if not done.cancelled():
                done.exception()  # all that waited may be cancelled

        task = connecting[key] = asyncio.create_task(connect_and_keep())
        task.add_done_callback(forget)
    return await asyncio.shield(task)


async def _start_soon(kept: KeptConnection, command: str) -> Process | None:
    """The process; None where this connection has none to give, or is dead. Nothing was sent to it then."""
    with suppress(TimeoutError, OSError, asyncssh.Error):
        async with asyncio.timeout(OPEN_SECONDS):
            return await kept.connection.create_process(command, encoding=None)
    kept.drop()
    return None


@asynccontextmanager
async def _closing(kept: KeptConnection, process: Process) -> AsyncIterator[None]:
    """Keep the connection only if all went well: a host that hangs must not delay the next call."""
    try:
        yield
    except BaseException:
        kept.drop()
        process.close()
        raise


def _keep(key: Hashable, connection: Connection) -> KeptConnection:
    kept = KeptConnection(connection, key)
    kept.end_soon()
    task = asyncio.create_task(kept.hold())
    _holding.add(task)  # the loop itself refers to it only weakly
    task.add_done_callback(_holding.discard)
    of_loop = _kept.setdefault(asyncio.get_running_loop(), {})
    for name in [name for name, other in of_loop.items() if not other.is_usable]:
        del of_loop[name]
    if key in of_loop:  # another call has connected meanwhile
        kept.drop()
    else:
        of_loop[key] = kept
    return kept
