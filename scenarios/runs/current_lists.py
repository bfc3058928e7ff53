"""The allow lists that the steps of a run are compared with, at most a second old."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from asgiref.sync import sync_to_async
from django.db import Error

from scenarios.database.connections import reconnecting
from scenarios.drivers.allow_lists import read_narrowed

Lists = Mapping[str, Sequence[str]]
MAX_AGE = 1.0
# Seconds to wait for the database where its last answer will do: a look at a target must not wait for it.
ANSWER_SECONDS = 0.5


class CurrentLists:
    """While the database is away, the lists are as they were last read."""

    def __init__(self) -> None:
        self._lists: Lists | None = None
        self._read_at = 0.0
        # One at a time: in the thread of the database, they would wait for each other and for the lease.
        self._reading: asyncio.Task[None] | None = None

    async def read(self) -> Lists:
        """Raises the database's error if it has never answered."""
        if self._lists is not None and time.monotonic() - self._read_at <= MAX_AGE:
            return self._lists
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_take_error)
        try:
            async with asyncio.timeout(ANSWER_SECONDS if self._lists is not None else None):
                await asyncio.shield(self._reading)
        except (Error, TimeoutError):
            if self._lists is None:
                raise
        assert self._lists is not None  # noqa: S101 - it has been read, or this has raised
        return self._lists

    async def _read(self) -> None:
        self._lists = await sync_to_async(reconnecting(read_narrowed))()
        self._read_at = time.monotonic()


def _take_error(task: "asyncio.Task[None]") -> None:
    """Nobody may be waiting any more, and asyncio would complain of an error that nobody has seen."""
    if not task.cancelled():
        task.exception()
