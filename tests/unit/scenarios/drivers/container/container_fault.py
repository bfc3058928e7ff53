"""A fault of containers: built, injected, and what it changes of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from injector.host.changes import ALL_MEMORY
from scenarios.drivers.container import Container
from scenarios.drivers.container_arguments import ContainerFaultArguments
from scenarios.drivers.container_changes import find_state_folder
from scenarios.ports import FaultCall
from tests.unit.scenarios.drivers.conftest import Platform

DRIVER = Container()
PLATFORM = Platform()
LONG = 600.0
NETWORK = "shop-net"
# Each change, and what it needs of the container.
CHANGES: dict[str, dict[str, Any]] = {
    "pause": {"pause": True},
    "kill": {"kill": True},
    "stop": {"stop": True, "grace": "1s"},
    "disconnect": {"disconnect": NETWORK},
    "limits": {"limits": {"cpus": 0.1, "memory": "32MiB"}},
}


def find_guardians() -> list[int]:
    """The processes that end a fault of this folder of faults, both of each."""
    found = []
    for record in find_state_folder("engines", "local").glob("guardian-*.json"):
        text = record.read_text()
        if '"guardian"' in text:
            pid = int(text.split('"guardian": [')[1].split(",")[0])
            found += [pid, *list_children(pid)]
    return [pid for pid in found if Path(f"/proc/{pid}/comm").exists()]


def list_children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def build(**words: Any) -> ContainerFaultArguments:
    chosen = {} if {"where", "image"} & words.keys() else {"name": "shop-1"}
    return ContainerFaultArguments.model_validate({**chosen, **words})


async def choose(given: ContainerFaultArguments, fault_id: str = "f1", lease: float = LONG) -> FaultCall:
    return FaultCall(fault_id, lease, await DRIVER.choose_target(given, PLATFORM))


async def inject(given: ContainerFaultArguments, fault_id: str = "f1", lease: float = LONG) -> FaultCall:
    fault = await choose(given, fault_id, lease)
    await DRIVER.inject(given, PLATFORM, fault)
    return fault


def describe(state: Mapping[str, Any]) -> dict[str, Any]:
    """What faults change of a container. For no limit, the engine has 0, -1, or all that the kernel has."""
    limits = {
        name: max(0, state["HostConfig"][name]) % ALL_MEMORY
        for name in ("NanoCpus", "CpuQuota", "Memory", "MemorySwap")
    }
    networks = {
        name: sorted(set(found["Aliases"] or []) - {state["Id"][:12]})
        for name, found in state["NetworkSettings"]["Networks"].items()
    }
    return {"status": state["State"]["Status"], "limits": limits, "networks": networks}
