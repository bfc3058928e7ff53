"""Whether a registered service answers now: asked by the project's own http driver, within its limits."""

import asyncio
from dataclasses import dataclass

from scenarios.clock import SystemClock
from scenarios.domain.errors import StepFailed
from scenarios.domain.plan import Step
from scenarios.installed import installed_drivers
from scenarios.steps import StepRunner
from scenarios.surroundings import Platform

HEALTH_PATH = "/health"
TIME_LIMIT = 2.0
_WELL = range(200, 300)


@dataclass(frozen=True, slots=True)
class Health:
    is_well: bool
    sentence: str


def health_of(service: str) -> Health:
    runner = StepRunner(installed_drivers(), Platform(), SystemClock())
    step = Step("http", {"service": service, "path": HEALTH_PATH})
    try:
        seen = asyncio.run(runner.probe(step, TIME_LIMIT))
    except StepFailed as error:
        return Health(is_well=False, sentence=str(error))
    status, milliseconds = seen["status"], seen["elapsed"] * 1000
    return Health(status in _WELL, f"{HEALTH_PATH} answered {status} after {milliseconds:.0f} ms")
