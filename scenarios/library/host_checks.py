"""Checks whether a registered host can be reached, with the `host` driver where there is one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from scenarios.domain import service_urls
from scenarios.domain.durations import format_duration
from scenarios.domain.errors import ScenarioError
from scenarios.drivers.listening import find_refusal
from scenarios.drivers.platform import SitePlatform
from scenarios.library.findings import Finding
from scenarios.models import Host
from scenarios.ports import RegisteredHost

TIME_LIMIT = 20.0
PORT_TIME_LIMIT = 2.0
DRIVER = "scenarios.drivers.host"
Describe = Callable[[RegisteredHost], Awaitable[Mapping[str, Any]]]


def check_host(host: Host) -> list[Finding]:
    """Whether the host can be reached, and what its host program says of it."""
    found = [_check_address(host)]
    describe = _find_description()
    if describe is None or not found[0].is_well:
        return found
    return [*found, *asyncio.run(_describe(host, describe))]


def _check_address(host: Host) -> Finding:
    if not host.address:
        return Finding("address", is_well=True, sentence="it is the worker's own machine")
    place = service_urls.parse_ssh_address(host.address)[1]
    refusal = asyncio.run(find_refusal(place.host, place.port, SitePlatform(), PORT_TIME_LIMIT))
    return Finding("address", not refusal, f"{place} {refusal or 'accepts connections'}")


def _find_description() -> Describe | None:
    try:
        module = import_module(DRIVER)
    except ModuleNotFoundError as error:
        if error.name != DRIVER:
            raise
        return None  # a site may have no such driver
    found: Describe | None = getattr(module, "describe_host", None)
    return found


async def _describe(host: Host, describe: Describe) -> list[Finding]:
    address = service_urls.format_ssh_address(host.address)
    try:
        async with asyncio.timeout(TIME_LIMIT):
            facts = await describe(RegisteredHost(host.name, address, host.labels))
    except TimeoutError:
        sentence = f"the host program did not answer within {format_duration(TIME_LIMIT)}"
        return [Finding("host program", is_well=False, sentence=sentence)]
    except (ScenarioError, OSError) as error:
        return [Finding("host program", is_well=False, sentence=str(error))]
    words = (f"{name} {_format_fact(value)}" for name, value in facts.items() if name not in {"ok", "kinds"})
    answers = Finding("host program", is_well=True, sentence=f"it answers: {', '.join(words)}")
    kinds = facts.get("kinds")
    return [answers, *(_list_kinds(kinds) if isinstance(kinds, Mapping) else ())]


def _list_kinds(kinds: Mapping[str, Any]) -> Iterator[Finding]:
    """`kinds` has each kind of fault with "", or with the reason why it cannot be injected."""
    possible = [kind for kind, reason in kinds.items() if not reason]
    if possible:
        yield Finding("faults", is_well=True, sentence=f"it can inject {', '.join(possible)}")
    impossible: dict[str, list[str]] = {}
    for kind, reason in kinds.items():
        if reason:
            impossible.setdefault(str(reason).removeprefix(f"{kind!r} is "), []).append(kind)
    if impossible:
        reasons = "; ".join(f"{', '.join(same)}: {reason}" for reason, same in impossible.items())
        yield Finding("faults", is_well=bool(possible), sentence=f"it cannot inject {reasons}")


def _format_fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
