"""One fault of a driver, as the engine injects, renews and removes it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from scenarios.ports import FaultCall
from tests.unit.scenarios.drivers.conftest import Platform


class OneFault:
    """`driver` is a new one: that of a process that has injected nothing yet."""

    def __init__(self, driver: Any, arguments: Any, platform: Platform, call: FaultCall) -> None:
        self.driver = driver
        self.arguments = arguments
        self.platform = platform
        self.call = call

    async def inject(self) -> dict[str, Any]:
        target = await self.driver.choose_target(self.arguments, self.platform)
        self.call = FaultCall(self.call.id, self.call.lease, target)
        return dict(await self.driver.inject(self.arguments, self.platform, self.call))

    async def renew(self) -> None:
        await self.driver.renew(self.arguments, self.platform, self.call)

    async def remove(self) -> bool:
        return bool(await self.driver.remove(self.arguments, self.platform, self.call))

    async def is_present(self) -> bool:
        return bool(await self.driver.is_present(self.arguments, self.platform, self.call))

    def elsewhere(self, address: str) -> "OneFault":
        """The same fault, for a process that has not injected it, after its service has moved there."""
        return OneFault(type(self.driver)(), self.arguments, Platform(address), self.call)


@asynccontextmanager
async def injecting(build: Callable[..., OneFault]) -> AsyncIterator[Any]:
    """Injects faults, which end with the block. It takes what `build` takes: words, name and lease."""
    faults: list[OneFault] = []

    async def begin(*words: Any, **more: Any) -> OneFault:
        fault = build(*words, **more)
        faults.append(fault)
        await fault.inject()
        return fault

    yield begin
    for fault in faults:
        await fault.remove()
