"""The time that the engine goes by."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from scenarios.domain.plan import FaultCall as FaultCall  # noqa: PLC0414 - a part of the contract of drivers


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, aware, in UTC: for people, never for measuring."""

    def monotonic(self) -> float:
        """Seconds that never decrease."""

    async def sleep(self, seconds: float) -> None: ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """As `asyncio.timeout`: raises TimeoutError when the time is up."""
