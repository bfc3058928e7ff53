"""Looks at the fault proxy that a service names: whether it can be used, and what it breaks now."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from scenarios.domain.counts import format_count
from scenarios.domain.errors import StepFailed
from scenarios.domain.plan import origin
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.drivers.proxy_control import ProxyControl, TokenRefused
from scenarios.library.findings import Finding
from scenarios.models import Service

TIME_LIMIT = 2.0
PROXY, LISTENER, FAULTS = "fault proxy", "listener", "faults"


class NotUsable(Exception):  # noqa: N818 - a state; the sentence becomes a finding
    """The proxy cannot be used like this."""


async def _look(service: Service, control: ProxyControl, path: str) -> Mapping[str, Any]:
    try:
        answer = await control.ask("GET", path)
    except TokenRefused as error:
        raise NotUsable(
            f"{control.name} does not accept the token of the secret {service.proxy_secret!r}; use the token "
            "of the proxy's --token-file"
        ) from error
    content = _read_object(answer.body)
    if answer.status != HTTPStatus.OK or content is None:
        raise NotUsable(
            f"what answers at {origin(service.proxy)} is not a fault proxy: it answered {answer.status} to "
            f"GET {path}; give the address of the proxy's --control"
        )
    return content


def check_proxy(service: Service) -> list[Finding]:
    """Whether the service's proxy answers, and knows the token and the listener; and which faults it has."""
    if not service.proxy:
        return [Finding(PROXY, is_well=True, sentence="the service names no fault proxy")]
    return asyncio.run(_check(service))


async def read_listeners(service: Service) -> Mapping[str, Any]:
    """The listeners of the service's proxy, by HOST:PORT.

    Raises:
        StepFailed: the proxy does not answer.
        NotUsable: it does not accept the token, or is not a fault proxy.
    """
    name = f"the fault proxy at {origin(service.proxy)}"
    token = ConfiguredSecrets().secret(service.proxy_secret)
    return await _look(service, ProxyControl(name, service.proxy, token, TIME_LIMIT), "/listeners")


async def count_faults(service: Service) -> int:
    """How many faults the service's proxy has now.

    Raises:
        StepFailed, NotUsable: as for `read_listeners`.
    """
    name = f"the fault proxy at {origin(service.proxy)}"
    token = ConfiguredSecrets().secret(service.proxy_secret)
    return len(await _look(service, ProxyControl(name, service.proxy, token, TIME_LIMIT), "/faults"))


async def _check(service: Service) -> list[Finding]:
    name = f"the fault proxy at {origin(service.proxy)}"
    try:
        control = ProxyControl(name, service.proxy, "", TIME_LIMIT)
        await _look(service, control, "/health")
        control.token = ConfiguredSecrets().secret(service.proxy_secret)
        listeners = await _look(service, control, "/listeners")
        faults = await _look(service, control, "/faults")
    except (StepFailed, NotUsable) as error:
        return [Finding(PROXY, is_well=False, sentence=str(error))]
    answers = Finding(PROXY, is_well=True, sentence=f"{control.name} answers, and accepts the token")
    return [answers, _check_listener(service.proxy_listener, listeners), *_list_faults(faults)]


def _check_listener(registered: str, listeners: Mapping[str, Any]) -> Finding:
    name = registered or (next(iter(listeners)) if len(listeners) == 1 else "")
    known = ", ".join(sorted(listeners)) or "none"
    if not name:
        return Finding(LISTENER, is_well=False, sentence=f"register one of the proxy's listeners: {known}")
    found = listeners.get(name)
    if not isinstance(found, dict):
        return Finding(LISTENER, is_well=False, sentence=f"unknown listener {name!r}; the proxy has {known}")
    connections = found.get("connections")
    number = format_count(connections, "connection") if isinstance(connections, int) else "connections"
    return Finding(
        LISTENER, is_well=True, sentence=f"{name} leads to {found.get('upstream', '?')}, and has {number}"
    )


def _list_faults(faults: Mapping[str, Any]) -> list[Finding]:
    if not faults:
        return [Finding(FAULTS, is_well=True, sentence="the proxy has no faults")]
    return [
        Finding(FAULTS, is_well=True, sentence=f"the proxy has the fault {fault_id!r}{_describe(held)}")
        for fault_id, held in faults.items()
    ]


def _describe(held: Any) -> str:
    if not isinstance(held, dict):
        return ""
    place = f" on {held['listener']}" if held.get("listener") else ""
    left = held.get("seconds_left")
    end = f", which ends in {left:.0f} s unless it is renewed" if isinstance(left, int | float) else ""
    return f"{place}{end}"


def _read_object(body: str) -> Mapping[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
