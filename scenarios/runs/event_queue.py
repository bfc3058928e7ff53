"""Orders what a run writes, and puts events of one moment into one transaction.

A commit costs about as much for one event as for a hundred: a burst of events, as of a thousand validations
that begin together, would otherwise keep the run from its next step for as many commits.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from scenarios.domain.errors import LeaseLost
from scenarios.ports import Event

T = TypeVar("T")
# A transaction of events locks the run's row, and on SQLite the database: the number of events follows from
# how long the last ones took.
MIN_SECONDS, MAX_SECONDS = 0.1, 0.2
FIRST_BATCH, MAX_BATCH = 32, 512
# How many callers that wait for their events continue in one round of the event loop.
RELEASED_AT_ONCE = 4


class EventQueue:
    """Writes in the order in which it is asked; where `write_events` raises, it has written nothing.

    If a caller is cancelled while it waits, its event may be written or not; others are not affected.
    """

    def __init__(self, write_events: Callable[[Sequence[Event]], Awaitable[None]]) -> None:
        self._write_events = write_events
        self._waiting: deque[tuple[Event | Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._batch = FIRST_BATCH

    async def record(self, event: Event) -> None:
        """Return when the event is durable."""
        await self._put(event)

    async def call(self, write: Callable[[], Awaitable[T]]) -> T:
        """What `write` returns, called after all that was asked before it."""
        result: T = await self._put(write)
        return result

    async def _put(self, what: Event | Callable[[], Awaitable[Any]]) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((what, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await done

    async def _write(self) -> None:
        while self._waiting:
            what, done = self._waiting.popleft()
            if done.done():  # cancelled meanwhile
                continue
            if isinstance(what, Event):
                error = await self._write_together(what, done)
            else:
                error = await _settle([done], what)
            if isinstance(error, LeaseLost):
                self._give_up(error)

    def _give_up(self, error: LeaseLost) -> None:
        """What waits would be refused, too: each after its own time where the database does not answer."""
        while self._waiting:
            _what, done = self._waiting.popleft()
            if not done.done():
                done.set_exception(error)

    async def _write_together(self, event: Event, done: "asyncio.Future[Any]") -> Exception | None:
        events, futures = [event], [done]
        while self._waiting and len(events) < self._batch and isinstance(self._waiting[0][0], Event):
            following, its_future = self._waiting.popleft()
            if not its_future.done():
                events.append(following)  # type: ignore[arg-type] # as looked at above
                futures.append(its_future)
        begun = time.perf_counter()
        error = await _settle(futures, lambda: self._write_events(events))
        self._adapt(len(events), time.perf_counter() - begun)
        return error

    def _adapt(self, written: int, took: float) -> None:
        if took > MAX_SECONDS:
            self._batch = max(1, int(written * MAX_SECONDS / took))
        elif took < MIN_SECONDS and written >= self._batch:
            self._batch = min(MAX_BATCH, self._batch * 2)


async def _settle(
    futures: Sequence["asyncio.Future[Any]"], write: Callable[[], Awaitable[Any]]
) -> Exception | None:
    """Give the futures the result, or the error, a few in each round of the loop; return the error."""
    result: Any = None
    error: Exception | None = None
    try:
        result = await write()
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()
        raise
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is the caller's
        error = raised
    for number, future in enumerate(futures, start=1):
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        if number % RELEASED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return error
