"""Checks whether a service answers, with the `http` driver and its limits."""

import asyncio
from dataclasses import dataclass

from scenarios.domain.errors import StepFailed
from scenarios.domain.plan import Step
from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import SitePlatform
from scenarios.engine.clock import SystemClock
from scenarios.engine.steps import StepRunner
from scenarios.models import Service

TIME_LIMIT = 2.0
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Health:
    is_well: bool
    sentence: str


def check_health(service: Service) -> Health:
    """Check a registered service, by its own path and status."""
    return _probe({"service": service.name, "path": service.health_path}, service)


def check_unsaved_health(service: Service) -> Health:
    """Check a service that is not stored with these values."""
    return _probe({"url": f"{service.base_url.rstrip('/')}{service.health_path}"}, service)


def _probe(arguments: dict[str, str], service: Service) -> Health:
    runner = StepRunner(installed_drivers(), SitePlatform(), SystemClock())
    try:
        seen = asyncio.run(runner.probe(Step("http", arguments), TIME_LIMIT))
    except StepFailed as error:
        return Health(is_well=False, sentence=str(error))
    status, milliseconds = seen["status"], seen["elapsed"] * 1000
    is_well = status in _SUCCESS if service.health_status is None else status == service.health_status
    hint = "" if is_well or service.health_status is None else f", not {service.health_status},"
    return Health(is_well, f"{service.health_path} answered {status}{hint} after {milliseconds:.0f} ms")
