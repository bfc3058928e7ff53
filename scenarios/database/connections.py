"""Database connections for processes without requests: checked before each unit of work.

A restart of the server, an administrator or a proxy may cut an idle connection at any time. Django checks
connections only between requests, which workers and watchdogs do not have.
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


def reconnecting(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap the function: a broken connection is replaced before it is called."""

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        connection.close_if_unusable_or_obsolete()
        try:
            return function(*arguments, **named)
        except Error as error:
            # A server that became a standby still answers; only a new connection finds the primary.
            if is_away(error) and not connection.in_atomic_block:
                connection.close()
            raise

    return call


class DatabaseThread:
    """A thread with its own database connection, for calls that may block.

    It is a daemon thread, so that a call that hangs does not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call the function in the thread, on a working connection, and return its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = copy_context()

        def carry_out() -> None:
            try:
                result = context.run(reconnecting(function), *arguments, **named)
            except Exception as error:  # noqa: BLE001 - raised where the call is awaited
                _deliver(loop, future, future.set_exception, error)
            else:
                _deliver(loop, future, future.set_result, result)

        self._start()
        self._calls.put(carry_out)
        return await future

    async def close(self) -> None:
        """Close the connection after the calls already made; the next call opens a new one."""
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


def _deliver(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], deliver: Callable[[Any], None], outcome: Any
) -> None:
    def set_unless_cancelled() -> None:
        if not future.done():
            deliver(outcome)

    if not loop.is_closed():
        loop.call_soon_threadsafe(set_unless_cancelled)
