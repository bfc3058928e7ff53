"""One step, carried out by its driver: the one place where a driver's faults become sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import ScenarioError, StepFailed, StepImpossible
from scenarios.domain.plan import Step
from scenarios.ports import Clock, Driver, Surroundings


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs steps with the drivers and on the platform it was given."""

    drivers: Mapping[str, Driver]
    surroundings: Surroundings
    clock: Clock

    async def probe(self, step: Step, time_limit: float) -> Mapping[str, Any]:
        """The fields the probe returned.

        Raises:
            StepFailed: the target did not answer, or not in time.
            StepImpossible: the step makes no sense, or its driver is broken.
        """
        return await self._call(step, "probe", time_limit)

    async def act(self, step: Step, time_limit: float) -> Mapping[str, Any]:
        """As `probe`; StepFailed too where the target did not do it, StepNotSent where it cannot have."""
        return await self._call(step, "act", time_limit)

    async def _call(self, step: Step, verb: str, time_limit: float) -> Mapping[str, Any]:
        driver = self.drivers.get(step.driver)
        if driver is None:
            raise StepImpossible(
                f"there is no driver {step.driver!r}: known are {', '.join(sorted(self.drivers))}"
            )
        try:
            arguments = driver.Arguments.model_validate(step.arguments)
        except ValidationError as error:
            raise StepImpossible(f"the arguments of {step.driver!r} are refused: {error}") from error
        call = driver.probe if verb == "probe" else driver.act
        try:
            async with self.clock.timeout(time_limit):
                return await call(arguments, self.surroundings)
        except ScenarioError:
            raise
        except TimeoutError as error:
            raise StepFailed(f"no answer within {format_duration(time_limit)}") from error
        except Exception as error:
            # A driver is a site's own code: whatever breaks in it must end the run with its faults
            # undone. An action's request may have left before the driver broke: that is a failure,
            # not "never sent", so that it is undone.
            broken = StepImpossible if verb == "probe" else StepFailed
            raise broken(f"the driver {step.driver!r} broke: {type(error).__name__}: {error}") from error
