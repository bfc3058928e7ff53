"""Database connections that work: checked before each unit of work, in threads that block nobody else.

A connection that was idle may be cut at any time: by a restart of the server, an administrator, or a proxy
between. Django looks at it only between requests, which workers and watchdogs do not have.
"""

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import Error, connection, connections

from scenarios.database.errors import is_away

P = ParamSpec("P")
T = TypeVar("T")


def fresh(function: Callable[P, T]) -> Callable[P, T]:
    """The function, on a connection that is opened again where the last one broke."""

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        connection.close_if_unusable_or_obsolete()
        try:
            return function(*arguments, **named)
        except Error as error:
            # A server that has become a standby still answers: only a new connection finds the primary.
            if is_away(error) and not connection.in_atomic_block:
                connection.close()
            raise

    return call


class Lane:
    """A thread with a database connection of its own, for what may block.

    A daemon: whatever it waits for does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The function's result, from the lane's thread, on a connection that works."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = copy_context()

        def carry_out() -> None:
            try:
                result = context.run(fresh(function), *arguments, **named)
            except Exception as error:  # noqa: BLE001 - whoever awaits the call gets it
                _hand_over(loop, future, future.set_exception, error)
            else:
                _hand_over(loop, future, future.set_result, result)

        self._start()
        self._calls.put(carry_out)
        return await future

    async def close(self) -> None:
        """Close the connection once what is under way is done; the next call opens another."""
        if self._thread is None:
            return
        await self.call(connections.close_all)
        self._calls.put(None)
        self._thread = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (carry_out := self._calls.get()) is not None:
            carry_out()


def _hand_over(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], deliver: Callable[[Any], None], outcome: Any
) -> None:
    def set_unless_cancelled() -> None:
        if not future.done():
            deliver(outcome)

    if not loop.is_closed():
        loop.call_soon_threadsafe(set_unless_cancelled)
