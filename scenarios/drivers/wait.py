"""Waits for a given time."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from scenarios.domain.declarations import Declaration, Duration
from scenarios.domain.results import ALWAYS, Returned
from scenarios.ports import Platform


class WaitReturned(Returned):
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds that were waited.")


class WaitArguments(Declaration):
    Returns: ClassVar[type[Returned]] = WaitReturned
    duration: Duration


class Wait:
    name: ClassVar[str] = "wait"
    Arguments: ClassVar[type[WaitArguments]] = WaitArguments
    arrives_late: ClassVar[bool] = False

    async def reach(self, arguments: WaitArguments, platform: Platform) -> Mapping[str, Any]:
        del arguments, platform
        return {}

    async def probe(self, arguments: WaitArguments, platform: Platform) -> Mapping[str, Any]:
        del platform
        started = time.perf_counter()
        await asyncio.sleep(arguments.duration)
        return {"elapsed": time.perf_counter() - started}

    async def act(self, arguments: WaitArguments, platform: Platform) -> Mapping[str, Any]:
        return await self.probe(arguments, platform)
