"""A fault driver's methods as the steps that the engine carries out."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from scenarios.domain.errors import StepImpossible
from scenarios.domain.plan import FaultCall, Step
from scenarios.ports import Driver, FaultDriver, Platform


class FaultSteps:
    """Looks like a `Driver` whose `act` injects, whose `undo` removes, and whose `probe` looks."""

    arrives_late = False  # a request to inject that arrives after the removal is refused, or ends by itself

    def __init__(self, driver: FaultDriver, call: FaultCall | None) -> None:
        self.name = driver.name
        self.Arguments: type[BaseModel] = driver.FaultArguments
        self._driver = driver
        self._given = call

    async def act(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        return await self._driver.inject(arguments, platform, self._call)

    async def undo(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        was_there = await self._driver.remove(arguments, platform, self._call)
        return {"gone": not was_there}

    async def probe(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        return {"present": await self._driver.is_present(arguments, platform, self._call)}

    async def renew(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        await self._driver.renew(arguments, platform, self._call)
        return {}

    async def choose_target(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        return await self._driver.choose_target(arguments, platform)

    async def reach(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        return await self._driver.choose_target(arguments, platform)

    def check(self, arguments: Any, platform: Platform) -> None:
        if (check := getattr(self._driver, "check_fault", None)) is not None:
            check(arguments, platform)
        elif isinstance(service := getattr(arguments, "service", None), str) and service:
            platform.address_of(service)

    @property
    def _call(self) -> FaultCall:
        if self._given is None:
            raise StepImpossible(f"the fault of {self.name!r} has no id: it was never written to the ledger")
        return self._given


def _is_fault_driver(driver: object) -> bool:
    return hasattr(driver, "FaultArguments")


def find_step_driver(drivers: Mapping[str, Any], step: Step) -> Driver | FaultSteps | None:
    """What carries the step out; None where no installed driver can."""
    driver = drivers.get(step.driver)
    if step.operation is not None:
        return FaultSteps(driver, step.fault) if driver is not None and _is_fault_driver(driver) else None
    return driver if hasattr(driver, "Arguments") else None
