"""Checks whether a service answers, with the `http` and `tcp` drivers and their limits."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenarios.domain.errors import StepFailed
from scenarios.domain.plan import Step
from scenarios.domain.service_urls import parse_service_url
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
    """Check a registered service: by its path and status, or by a connection if it does not speak HTTP."""
    if service.is_web:
        return _request(service, {"service": service.name, "path": service.health_path})
    return _connect({"service": service.name})


def check_unsaved_health(service: Service) -> Health:
    """Check a service that is not stored with these values, which must be valid."""
    if service.is_web:
        return _request(service, {"url": f"{service.base_url.rstrip('/')}{service.health_path}"})
    place = parse_service_url(service.base_url, may_have_user=True).place
    return _connect({"host": place.host, "port": place.port})


def check_listening(service: Service) -> Health:
    """Check whether something accepts connections at the address of a registered service."""
    return _connect({"service": service.name})


def _request(service: Service, arguments: Mapping[str, Any]) -> Health:
    try:
        seen = _probe(Step("http", arguments))
    except StepFailed as error:
        return Health(is_well=False, sentence=str(error))
    status, milliseconds = seen["status"], seen["elapsed"] * 1000
    is_well = status in _SUCCESS if service.health_status is None else status == service.health_status
    hint = "" if is_well or service.health_status is None else f", not {service.health_status},"
    return Health(is_well, f"{service.health_path} answered {status}{hint} after {milliseconds:.0f} ms")


def _connect(arguments: Mapping[str, Any]) -> Health:
    try:
        seen = _probe(Step("tcp", arguments))
    except StepFailed as error:
        return Health(is_well=False, sentence=str(error))
    if seen["connected"]:
        return Health(is_well=True, sentence=f"accepted a connection after {seen['elapsed'] * 1000:.0f} ms")
    return Health(is_well=False, sentence=str(seen["note"]))


def _probe(step: Step) -> Mapping[str, Any]:
    runner = StepRunner(installed_drivers(), SitePlatform(), SystemClock())
    return asyncio.run(runner.probe(step, TIME_LIMIT))
