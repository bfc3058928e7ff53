"""Faults by a fault proxy before a service: `python -m injector`, described in docs/fault-proxy.md."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.domain.matchers import format_value
from scenarios.domain.plan import origin
from scenarios.drivers.http_exchange import Answer
from scenarios.drivers.proxy_arguments import ProxyArguments, ProxyLookArguments
from scenarios.drivers.proxy_control import ProxyControl, TokenRefused
from scenarios.ports import FaultCall, Platform

CONTROL_SECONDS = 5.0
WAS_PRESENT = "fault-was-present"
_DONE = (200, 201, 204)


class _Control(ProxyControl):
    """The control API of one proxy, as one service reaches it."""

    def __init__(self, service: str, address: str, token: str) -> None:
        name = f"the fault proxy of {service} at {origin(address)}"
        super().__init__(name, address, token, CONTROL_SECONDS)
        self.service = service

    async def ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Answer:
        try:
            return await super().ask(method, path, content)
        except TokenRefused as error:
            raise StepNotDone(
                f"{error}: use the token of the proxy's --token-file as the service's secret, by default "
                "FAULT_PROXY_TOKEN"
            ) from error


class Proxy:
    """Breaks connections of a service's clients, in the fault proxy that they connect to.

    The service is registered with its proxy's control API and listener. Every fault ends by itself, one lease
    after its last renewal, and with the proxy's process.

    As a probe, it counts the connections that the faults affect. Connections that are refused because nothing
    listens are not counted.
    """

    name: ClassVar[str] = "proxy"
    libraries: ClassVar[tuple[str, ...]] = ("aiohttp",)
    Arguments: ClassVar[type[ProxyLookArguments]] = ProxyLookArguments
    FaultArguments: ClassVar[type[ProxyArguments]] = ProxyArguments

    def check(self, arguments: ProxyLookArguments, platform: Platform) -> None:
        platform.proxy_of(arguments.service)

    async def probe(self, arguments: ProxyLookArguments, platform: Platform) -> Mapping[str, Any]:
        proxy = platform.proxy_of(arguments.service)
        control = _Control(arguments.service, proxy.control, proxy.token)
        # First, because the validations beside this one may touch the fault meanwhile.
        every = _read_object(await control.ask("GET", "/faults"), control)
        listeners = _read_object(await control.ask("GET", "/listeners"), control)
        listener = _choose_listener(proxy.listener, listeners, control)
        held = [fault for fault in every.values() if fault["listener"] == listener]
        if any("touched" not in fault for fault in held):
            raise StepImpossible(f"{control.name} does not count what its faults touch: update it")
        return {
            "touched": sum(fault["touched"] for fault in held),
            "faults": len(held),
            "connections": listeners[listener]["connections"],
        }

    async def act(self, arguments: ProxyLookArguments, platform: Platform) -> Mapping[str, Any]:
        del arguments, platform
        raise StepImpossible("a 'proxy' step only looks: use it as a probe, or 'fault: {proxy: …}'")

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        del arguments
        return True

    def check_fault(self, arguments: ProxyArguments, platform: Platform) -> None:
        platform.proxy_of(arguments.service)

    async def choose_target(self, arguments: ProxyArguments, platform: Platform) -> Mapping[str, Any]:
        proxy = platform.proxy_of(arguments.service)
        control = _Control(arguments.service, proxy.control, proxy.token)
        try:
            answer = await control.ask("GET", "/listeners")
        except StepNotDone as error:
            raise StepImpossible(_with_hint(error, control)) from error
        listeners = _read_object(answer, control)
        listener = _choose_listener(proxy.listener, listeners, control)
        if problem := listeners[listener].get("upstream_problem"):
            raise StepImpossible(
                f"{control.name} cannot reach what is behind its listener {listener}: {problem}; correct it, "
                "and let a client connect once more"
            )
        place = urlsplit(proxy.control).netloc
        return {
            "control": proxy.control,
            "listener": listener,
            "label": f"{arguments.service} by its proxy {place}",
        }

    async def inject(
        self, arguments: ProxyArguments, platform: Platform, fault: FaultCall
    ) -> Mapping[str, Any]:
        control = _find_control(arguments, platform, fault)
        listener = fault.target["listener"]
        content = {"listener": listener, "lease": fault.lease, "fault": arguments.to_wire()}
        answer = await control.ask("PUT", _path(fault), content)
        if answer.status == 409:  # noqa: PLR2004 - Conflict
            raise StepNotDone(f"{control.name} does not inject the fault: it was removed before")
        _require_done(answer, control)
        return {"control": fault.target["control"], "listener": listener, "fault": content["fault"]}

    async def renew(self, arguments: ProxyArguments, platform: Platform, fault: FaultCall) -> None:
        control = _find_control(arguments, platform, fault)
        answer = await control.ask("POST", f"{_path(fault)}/renew", {"lease": fault.lease})
        if answer.status == 404:  # noqa: PLR2004 - Not Found
            raise FaultGone(
                f"{control.name} does not have the fault any more: it ended, was removed, or the proxy was "
                "restarted"
            )
        _require_done(answer, control)

    async def remove(self, arguments: ProxyArguments, platform: Platform, fault: FaultCall) -> bool:
        control = _find_control(arguments, platform, fault)
        answer = await control.ask("DELETE", _path(fault))
        _require_done(answer, control)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return headers.get(WAS_PRESENT) != "false"

    async def is_present(self, arguments: ProxyArguments, platform: Platform, fault: FaultCall) -> bool:
        control = _find_control(arguments, platform, fault)
        answer = await control.ask("GET", _path(fault))
        if answer.status == 404 and _read_reason(answer):  # noqa: PLR2004
            if arguments.refuse:
                await _require_listening(str(fault.target["listener"]), control)
            return False
        _require_done(answer, control)
        return True


def _choose_listener(name: str, listeners: Mapping[str, Any], control: _Control) -> str:
    """The listener of this name; without a name, the only one that the proxy has.

    Raises:
        StepImpossible: there is none, or without a name there are several.
    """
    if name in listeners:
        return name
    if not name and len(listeners) == 1:
        return next(iter(listeners))
    known = ", ".join(sorted(listeners)) or "none"
    problem = f"has no listener {name!r}" if name else "has several listeners"
    raise StepImpossible(f"{control.name} {problem}: register the service with one of {known}")


async def _require_listening(listener: str, control: _Control) -> None:
    """A refusal lasts until the listener has its port again.

    Raises:
        StepFailed: it cannot have it yet.
    """
    answer = await control.ask("GET", "/listeners")
    _require_done(answer, control)
    found = (_read_json(answer) or {}).get(listener, {})
    if problem := found.get("problem"):
        raise StepFailed(
            f"{control.name}: the listener {listener} {problem}; end the process that has its port"
        )


def _find_control(arguments: ProxyArguments, platform: Platform, fault: FaultCall) -> _Control:
    """Where the fault was injected, whatever is registered now; the token is the present one."""
    token = platform.proxy_of(arguments.service).token
    return _Control(arguments.service, str(fault.target["control"]), token)


def _path(fault: FaultCall) -> str:
    return f"/faults/{quote(fault.id, safe='')}"


def _with_hint(error: StepNotDone, control: _Control) -> str:
    sentence = str(error)
    if "token" in sentence:
        return sentence
    return f"{sentence}: start it, or correct the proxy of the service {control.service!r}"


def _require_done(answer: Answer, control: _Control) -> None:
    if answer.status in _DONE:
        return
    if reason := _read_reason(answer):
        raise StepNotDone(f"{control.name} answered {answer.status}: {reason}")
    raise StepFailed(
        f"{control.name} answered {answer.status}, which is not a fault proxy's answer: "
        f"{format_value(answer.body)}"
    )


def _read_object(answer: Answer, control: _Control) -> Mapping[str, Any]:
    content = _read_json(answer)
    if answer.status != 200 or content is None:  # noqa: PLR2004
        raise StepImpossible(
            f"{control.name} is not a fault proxy: it answered {answer.status} to GET /listeners; "
            "give the address of the proxy's --control"
        )
    return content


def _read_reason(answer: Answer) -> str:
    """The sentence that a fault proxy gives with an error; "" from anything else."""
    reason = (_read_json(answer) or {}).get("error")
    return reason if isinstance(reason, str) else ""


def _read_json(answer: Answer) -> Mapping[str, Any] | None:
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
