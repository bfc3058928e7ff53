"""What a process does again and again. Each duty runs by itself, so that none delays another.

A duty that fails waits a little longer each time; one that hangs blocks only its own thread.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from scenarios.database.connections import DatabaseThread
from scenarios.database.errors import is_away
from scenarios.domain import outages
from scenarios.domain.outages import describe
from scenarios.domain.progress import progress_noted_by

logger = logging.getLogger(__name__)

# A duty that has not succeeded for this long, or for this many of its intervals, is in trouble.
TROUBLE_SECONDS = 30.0
TROUBLE_INTERVALS = 3.0


@dataclass(frozen=True, slots=True)
class Duty:
    """`work` is awaited with the duty's own database thread, again after `every` seconds.

    `max_delay` bounds the seconds between two tries while it fails.
    """

    name: str
    every: float
    work: Callable[[DatabaseThread], Awaitable[object]]
    max_delay: float = 30.0


class Carrier:
    """Carries out one duty, round after round."""

    def __init__(self, duty: Duty) -> None:
        self.duty = duty
        self._database = DatabaseThread(duty.name)
        self._failures = 0
        self._error = ""
        self._succeeded_at = time.monotonic()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Begin the next round at once."""
        self._woken.set()

    async def go_on(self, stop: asyncio.Event) -> None:
        """Round after round; ends when it is woken after the stop."""
        while not stop.is_set():
            self._woken.clear()
            await self.round()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay()):
                    await self._woken.wait()

    async def round(self) -> None:
        """Carry the duty out once; an error is noted, not raised."""
        try:
            with progress_noted_by(self._note_progress):
                await self.duty.work(self._database)
        except Exception as error:
            if is_away(error):
                outages.database.note_failure(error)
            elif not self._failures:
                logger.exception("The duty %r failed and is tried again", self.duty.name)
            self._note(error)
        else:
            if self._failures:
                outages.database.note_success()
                logger.warning("The duty %r succeeds again", self.duty.name)
            self._failures, self._error, self._succeeded_at = 0, "", time.monotonic()

    def trouble(self) -> str:
        """What is wrong with the duty, if it has not succeeded for too long; else ""."""
        silent = time.monotonic() - self._succeeded_at
        if silent < max(TROUBLE_SECONDS, self.duty.every * TROUBLE_INTERVALS):
            return ""
        return f"{self.duty.name}: not done for {silent:.0f} s ({self._error or 'it hangs'})"

    async def close(self) -> None:
        """Close the connection; a duty that hangs is left behind."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._database.close()

    def _note_progress(self) -> None:
        """A round that makes progress does not hang. What failed in it is noted at its end."""
        self._succeeded_at = time.monotonic()

    def _note(self, error: Exception) -> None:
        self._failures += 1
        self._error = describe(error)

    def _delay(self) -> float:
        slower = self.duty.every * 2.0 ** min(self._failures, 10)
        return max(self.duty.every, min(slower, self.duty.max_delay))
