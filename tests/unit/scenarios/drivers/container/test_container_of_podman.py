"""The driver of faults of containers, with Podman as the engine: what may differ from Docker."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible
from scenarios.drivers.container_arguments import ContainerArguments
from tests.servers.container_engine import SHOP, ContainerEngine, podman_engine
from tests.servers.loopback import wait_for
from tests.unit.scenarios.drivers.container.container_fault import (
    CHANGES,
    DRIVER,
    NETWORK,
    PLATFORM,
    build,
    choose,
    describe,
    inject,
)

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def docker() -> Iterator[ContainerEngine]:
    """Podman, in its place."""
    with podman_engine() as engine:
        engine.ask("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
        yield engine


@pytest.mark.parametrize("kind", sorted(CHANGES.keys() - {"limits"}))
async def test_a_container_is_changed_and_is_afterwards_as_before(
    engine: ContainerEngine, networked: str, kind: str
) -> None:
    before = describe(engine.inspect(networked))
    given = build(**CHANGES[kind])
    fault = await inject(given)
    assert describe(engine.inspect(networked)) != before
    assert await DRIVER.is_present(given, PLATFORM, fault)
    await DRIVER.renew(given, PLATFORM, fault)
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert describe(engine.inspect(networked)) == before
    assert not await DRIVER.is_present(given, PLATFORM, fault)
    assert not await DRIVER.remove(given, PLATFORM, fault)


async def test_limits_are_refused_and_nothing_is_changed(engine: ContainerEngine, networked: str) -> None:
    before = describe(engine.inspect(networked))
    with pytest.raises(StepFailed, match="answered 40"):
        await inject(build(**CHANGES["limits"]))
    assert describe(engine.inspect(networked)) == before


async def test_somebody_who_ends_the_fault_is_noticed(engine: ContainerEngine, shop: str) -> None:
    given = build(stop=True, grace="0s")
    fault = await inject(given)
    engine.ask("POST", f"/containers/{shop}/start")
    with pytest.raises(FaultGone, match="somebody has ended the fault of container 'shop-1'"):
        await DRIVER.renew(given, PLATFORM, fault)
    await DRIVER.remove(given, PLATFORM, fault)


async def test_containers_are_chosen_by_labels_and_image(engine: ContainerEngine) -> None:
    for number in range(3):
        engine.run(f"shop-{number}", "sleep", "600", labels=SHOP if number else {})
    chosen = (await choose(build(where=SHOP, pause=True))).target["places"]
    assert [place["name"] for place in chosen] == ["shop-1", "shop-2"]
    assert len((await choose(build(image="*shop*", pick=2, pause=True))).target["places"]) == 2
    with pytest.raises(StepImpossible, match="all 3 running containers"):
        await choose(build(image="*shop*", pause=True))


async def test_a_probe_tells_state_and_exit_code(engine: ContainerEngine) -> None:
    async def look(name: str) -> dict[str, Any]:
        return dict(await DRIVER.probe(ContainerArguments.model_validate({"name": name}), PLATFORM))

    engine.run("shop-1", "sleep", "600")
    engine.run("shop-2", "false")
    wait_for(lambda: engine.read_state("shop-2") == "exited", what="the container has ended")
    seen = await look("shop-1")
    assert (seen["count"], seen["state"], seen["health"], seen["restarts"]) == (1, "running", "none", 0)
    ended = await look("shop-2")
    assert (ended["state"], ended["exit_code"]) == ("exited", 1)
    assert (await look("nobody"))["state"] == "absent"


@pytest.mark.nftables
async def test_the_network_inside_a_container_is_broken(engine: ContainerEngine, networked: str) -> None:
    given = build(dns={"answer": "10.9.8.7"})
    fault = await inject(given)
    answer = await asyncio.to_thread(engine.run_inside, networked, "nslookup", "shop")
    assert "10.9.8.7" in answer
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert not await DRIVER.is_present(given, PLATFORM, fault)
