"""Faults and probes of containers; see docs/containers.md."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from injector.host.arguments import Refusal, parse_address
from injector.host.container_requests import inspect
from injector.host.engine import Engine
from injector.host.lifelines import split_address
from scenarios.domain.addresses import EVERY_PORT
from scenarios.domain.errors import StepImpossible
from scenarios.drivers import container_changes, container_network
from scenarios.drivers.container_arguments import (
    ContainerArguments,
    ContainerFaultArguments,
    find_kind,
)
from scenarios.drivers.container_engines import EngineAddress, call, find_engine
from scenarios.drivers.container_selection import (
    choose_containers,
    find_selected,
    list_addresses,
    list_containers,
    resolve,
)
from scenarios.drivers.gate import admit_url
from scenarios.drivers.host_calls import find_lifelines
from scenarios.drivers.hosts import this_host
from scenarios.ports import Connection, FaultCall, GatedPlatform, Platform

ABSENT_STATE = "absent"
MIXED = "mixed"


class Container:
    """As a probe, it returns the state, the health and the restarts of containers.

    As a fault, it pauses, kills, restarts or stops containers, disconnects them from a network, lowers their
    limits, or breaks the network inside. If their engine is on the worker's machine, every fault except
    `restart`, which leaves nothing to undo, ends by itself one lease after its last renewal.
    """

    name: ClassVar[str] = "container"
    Arguments: ClassVar[type[ContainerArguments]] = ContainerArguments
    FaultArguments: ClassVar[type[ContainerFaultArguments]] = ContainerFaultArguments

    def check(self, arguments: ContainerArguments, platform: Platform) -> None:
        del platform
        find_engine(arguments.engine)

    def check_fault(self, arguments: ContainerFaultArguments, platform: Platform) -> None:
        if arguments.service:
            platform.address_of(arguments.service)
        address = find_engine(arguments.engine)
        if arguments.breaks_network and not address.socket:
            raise StepImpossible(
                f"{arguments.kind!r} needs the engine's own machine, but engine {address.name!r} is "
                "elsewhere: register that machine as a host, or run a worker there"
            )

    async def probe(self, arguments: ContainerArguments, platform: Platform) -> Mapping[str, Any]:
        address = find_engine(arguments.engine)
        await admit_url(address.url, platform)
        return await call(_look, arguments, address.open())

    async def act(self, arguments: ContainerArguments, platform: Platform) -> Mapping[str, Any]:
        del arguments, platform
        raise StepImpossible("a 'container' step only looks: use it as a probe, or 'fault: {container: …}'")

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        try:
            address = find_engine(arguments.get("engine"))
        except StepImpossible:
            return False
        return find_kind(arguments) != "restart" and address.has_guardian

    async def choose_target(
        self, arguments: ContainerFaultArguments, platform: Platform
    ) -> Mapping[str, Any]:
        self.check_fault(arguments, platform)
        address = find_engine(arguments.engine)
        await admit_url(address.url, platform)
        states = await call(choose_containers, arguments, address.open())
        places = await call(_note_places, arguments, states)
        reached = await call(_list_reached, states, address)
        await _require_no_lifeline(states, reached)
        await _admit(reached, platform, reads=True)
        if arguments.breaks_network:
            await container_network.describe(arguments.kind, places, arguments.to_words())
        names = ", ".join(place["name"] for place in places)
        target = {
            "engine": address.name,
            "url": address.url,
            "change": arguments.kind,
            "guarded": address.has_guardian and arguments.kind in arguments.CHANGES,
            "places": places,
            "words": arguments.to_words(),
            "addresses": [list(place) for place in reached],
            "label": f"{names} (engine {address.name})",
        }
        return {**target, "host": this_host()} if address.socket else target

    async def inject(
        self, arguments: ContainerFaultArguments, platform: Platform, fault: FaultCall
    ) -> Mapping[str, Any]:
        await admit_url(fault.target["url"], platform)
        await _admit([(ip, port) for ip, port in fault.target["addresses"]], platform, reads=False)
        if arguments.breaks_network:
            return await container_network.inject(fault)
        return await container_changes.inject(_find_place(fault), fault)

    async def renew(self, arguments: ContainerFaultArguments, platform: Platform, fault: FaultCall) -> None:
        del platform
        if arguments.breaks_network:
            await container_network.renew(fault)
        elif fault.target["guarded"]:
            await container_changes.renew(_find_place(fault), fault)

    async def remove(self, arguments: ContainerFaultArguments, platform: Platform, fault: FaultCall) -> bool:
        del platform
        if arguments.breaks_network:
            return await container_network.remove(fault)
        return await container_changes.remove(_find_place(fault), fault)

    async def is_present(
        self, arguments: ContainerFaultArguments, platform: Platform, fault: FaultCall
    ) -> bool:
        del platform
        if arguments.breaks_network:
            return await container_network.is_present(fault)
        return await container_changes.is_present(_find_place(fault), fault)


def _find_place(fault: FaultCall) -> EngineAddress:
    """The engine where the fault was injected, whatever the setting names now."""
    return EngineAddress(fault.target["engine"], fault.target["url"])


def _look(arguments: ContainerArguments, engine: Engine) -> dict[str, Any]:
    found = find_selected(arguments, list_containers(engine))
    states = [state for one in found if (state := inspect(engine, one["Id"])) is not None]
    fields: dict[str, Any] = {
        "count": len(states),
        "running": sum(_find_state(state) == "running" for state in states),
        "healthy": sum(
            _find_state(state) == "running" and _find_health(state) == "healthy" for state in states
        ),
        "state": _join(map(_find_state, states)),
        "health": _join(map(_find_health, states)),
        "restarts": sum(int(state.get("RestartCount") or 0) for state in states),
    }
    if len(states) == 1 and not states[0]["State"].get("Running"):
        fields["exit_code"] = int(states[0]["State"].get("ExitCode") or 0)
    return fields


def _find_state(state: Mapping[str, Any]) -> str:
    return str(state["State"].get("Status") or "unknown")


def _find_health(state: Mapping[str, Any]) -> str:
    # Podman calls it Healthcheck.
    found = state["State"].get("Health") or state["State"].get("Healthcheck") or {}
    return str(found.get("Status") or "none")


def _join(words: Iterable[str]) -> str:
    found = set(words)
    return found.pop() if len(found) == 1 else MIXED if found else ABSENT_STATE


def _note_places(
    arguments: ContainerFaultArguments, states: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    words = arguments.to_words()
    places = []
    for state in states:
        place = container_changes.note_place(arguments.kind, state, words)
        if arguments.breaks_network:
            container_network.note_process(place, state)
        places.append(place)
    return places


def _list_reached(states: Sequence[dict[str, Any]], address: EngineAddress) -> list[tuple[str, int]]:
    engine_host = "127.0.0.1" if address.socket else address.host
    return resolve(place for state in states for place in list_addresses(state, engine_host))


async def _require_no_lifeline(
    states: Sequence[Mapping[str, Any]], reached: Sequence[tuple[str, int]]
) -> None:
    """Refuse the container of the coordinator's own database or queue: nobody could undo the fault.

    Raises:
        StepImpossible: one of these is there.
    """
    for text in await find_lifelines():
        host, port = split_address(text)
        for ip, reached_port in reached:
            with_port = reached_port in {EVERY_PORT, port}
            if with_port and _is_same(ip, host):
                names = ", ".join(str(state.get("Name", "")).lstrip("/") for state in states)
                raise StepImpossible(
                    f"the coordinator's own database or queue is at {text!r}, in one of the containers "
                    f"{names}: it is never broken"
                )


def _is_same(ip: str, other: str) -> bool:
    try:
        return parse_address(ip) == parse_address(other)
    except Refusal:
        return ip == other


async def _admit(reached: Sequence[tuple[str, int]], platform: Platform, *, reads: bool) -> None:
    """Hold the services that are registered at the containers' addresses, and see that they may be broken.

    Raises:
        StepImpossible: a service there is protected and not approved, or another run holds it.
    """
    if isinstance(platform, GatedPlatform):
        for ip, port in reached:
            await platform.admit(Connection(ip, ((ip, port),)), reads=reads)
