"""The driver of faults of containers: a real dockerd, with containers of one program."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.drivers import load_drivers
from scenarios.drivers.container import Container
from scenarios.drivers.container_arguments import ContainerArguments
from scenarios.drivers.container_changes import find_state_folder
from scenarios.drivers.hosts import this_host
from scenarios.ports import FaultDriver
from tests.servers.certificates import Authority
from tests.servers.container_engine import PORT, SHOP, ContainerEngine
from tests.servers.loopback import wait_for
from tests.servers.tls_relay import relay_by_tls
from tests.unit.scenarios.drivers.container.container_fault import (
    CHANGES,
    DRIVER,
    NETWORK,
    PLATFORM,
    build,
    choose,
    describe,
    find_guardians,
    inject,
)

pytestmark = pytest.mark.docker


def test_the_driver_is_loaded_as_one_of_faults(engine: ContainerEngine) -> None:
    driver = load_drivers(["scenarios.drivers.container.Container"])["container"]
    assert isinstance(driver, FaultDriver)
    assert driver.is_leased({"name": "shop-1", "pause": True})
    assert driver.is_leased({"engine": "local", "name": "shop-1", "dns": {"answer": "servfail"}})
    assert not driver.is_leased({"name": "shop-1", "restart": True})
    assert not driver.is_leased({"engine": "other", "name": "shop-1", "pause": True})


@pytest.mark.parametrize("kind", CHANGES)
async def test_a_container_is_changed_and_is_afterwards_as_before(
    engine: ContainerEngine, networked: str, kind: str
) -> None:
    before = describe(engine.inspect(networked))
    given = build(**CHANGES[kind])
    fault = await inject(given)
    assert fault.target["label"] == "shop-1 (engine local)"
    assert fault.target["host"] == this_host()
    assert describe(engine.inspect(networked)) != before
    assert await DRIVER.is_present(given, PLATFORM, fault)
    await DRIVER.renew(given, PLATFORM, fault)
    await DRIVER.inject(given, PLATFORM, fault)  # a second time
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert describe(engine.inspect(networked)) == before
    assert not await DRIVER.is_present(given, PLATFORM, fault)
    assert not await DRIVER.remove(given, PLATFORM, fault)
    with pytest.raises(StepNotDone, match="is not injected again"):
        await DRIVER.inject(given, PLATFORM, fault)


async def test_limits_of_a_container_that_had_none_are_lifted(engine: ContainerEngine, shop: str) -> None:
    before = describe(engine.inspect(shop))
    given = build(**CHANGES["limits"])
    fault = await inject(given)
    assert describe(engine.inspect(shop))["limits"]["Memory"] == 32 << 20
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert describe(engine.inspect(shop)) == before
    assert not await DRIVER.is_present(given, PLATFORM, fault)


async def test_a_restarted_container_has_another_process_and_nothing_to_undo(
    engine: ContainerEngine, shop: str
) -> None:
    before = engine.inspect(shop)["State"]["Pid"]
    given = build(restart=True, grace="1s")
    fault = await inject(given)
    state = engine.inspect(shop)["State"]
    assert state["Running"]
    assert state["Pid"] != before
    assert not await DRIVER.is_present(given, PLATFORM, fault)
    assert not await DRIVER.remove(given, PLATFORM, fault)


async def test_a_fault_ends_by_itself_when_nobody_renews_it(engine: ContainerEngine, shop: str) -> None:
    await inject(build(pause=True), lease=8.0)
    wait_for(lambda: engine.is_running(shop), what="the guardian has ended the fault")


async def test_a_guardian_goes_on_trying_while_the_engine_is_away(engine: ContainerEngine, shop: str) -> None:
    lease = 8.0
    await inject(build(pause=True), lease=lease)
    hidden = engine.socket.rename(engine.socket.with_suffix(".hidden"))
    try:
        await asyncio.sleep(lease + 2.0)
    finally:
        hidden.rename(engine.socket)
    wait_for(lambda: engine.is_running(shop), what="the guardian has ended the fault")


async def test_a_fault_whose_guardian_was_killed_is_still_removed(engine: ContainerEngine, shop: str) -> None:
    given = build(stop=True, grace="1s")
    fault = await inject(given)
    for pid in find_guardians():
        os.kill(pid, signal.SIGKILL)
    # As after a restart of the machine, of which the host program remembers nothing.
    shutil.rmtree(find_state_folder())
    assert await DRIVER.is_present(given, PLATFORM, fault)
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert engine.is_running(shop)


async def test_somebody_who_ends_the_fault_is_noticed(engine: ContainerEngine, shop: str) -> None:
    given = build(pause=True)
    fault = await inject(given)
    engine.ask("POST", f"/containers/{shop}/unpause")
    with pytest.raises(FaultGone, match="somebody has ended the fault of container 'shop-1'"):
        await DRIVER.renew(given, PLATFORM, fault)
    await DRIVER.remove(given, PLATFORM, fault)


async def test_a_container_that_was_replaced_is_not_touched(engine: ContainerEngine, shop: str) -> None:
    given = build(stop=True, grace="1s")
    fault = await inject(given)
    engine.remove(shop)
    engine.run(shop, labels=SHOP)
    engine.ask("POST", f"/containers/{shop}/pause")
    with pytest.raises(FaultGone, match="or replaced it"):
        await DRIVER.renew(given, PLATFORM, fault)
    await DRIVER.remove(given, PLATFORM, fault)
    assert not await DRIVER.is_present(given, PLATFORM, fault)
    assert engine.read_state(shop) == "paused"


async def test_the_engine_may_start_a_killed_container_again(engine: ContainerEngine, shop: str) -> None:
    given = build(kill=True)
    fault = await inject(given)
    engine.ask("POST", f"/containers/{shop}/start")
    await DRIVER.renew(given, PLATFORM, fault)  # it is not lost
    await DRIVER.remove(given, PLATFORM, fault)
    assert engine.is_running(shop)


async def test_containers_are_chosen_by_labels_image_share_and_seed(engine: ContainerEngine) -> None:
    for number in range(4):
        engine.run(f"shop-{number}", "sleep", "600", labels=SHOP)
    engine.run("queue", "sleep", "600", labels={"queue": "yes"})

    async def names(**words: Any) -> list[str]:
        given = build(where=SHOP, pause=True, **words)
        return [place["name"] for place in (await choose(given)).target["places"]]

    assert await names() == ["shop-0", "shop-1", "shop-2", "shop-3"]
    half = await names(pick="50%", seed=7)
    assert len(half) == 2
    assert half == await names(pick="50%", seed=7, image="shop*")
    assert len({tuple(await names(pick=1, seed=seed)) for seed in range(9)}) > 1
    with pytest.raises(StepImpossible, match="pick=5 is more than the 4 running containers"):
        await names(pick=5)
    with pytest.raises(StepImpossible, match="has no running container with the labels role=cart"):
        await choose(build(where={"role": "cart"}, pause=True))
    with pytest.raises(StepImpossible, match=r"all 5 running containers .* would have the fault"):
        await choose(build(image="shop", pause=True))
    assert len((await choose(build(image="shop", pause=True, allow_all=True))).target["places"]) == 5


async def test_what_cannot_be_had_is_refused_before_anything_is_injected(
    engine: ContainerEngine, settings: Any
) -> None:
    engine.run("shop-1", "sleep", "600", AutoRemove=True)
    engine.run("other", "sleep", "600")
    engine.run("own", "sleep", "600", labels={"test-coordinator.faults": "refused", "queue": "yes"})
    for words, sentence in (
        (
            {"name": "nobody", "pause": True},
            "no container with the name 'nobody'; its containers: other, own",
        ),
        ({"name": "other", "pause": True}, "'other' may not be broken: ALLOWED_CONTAINERS names 'shop-\\*'"),
        ({"name": "own", "pause": True}, "has the label test-coordinator.faults=refused"),
        ({"stop": True}, "was started with '--rm'"),
        ({"disconnect": "elsewhere"}, "is not in the network 'elsewhere'; its networks: none"),
        ({"pause": True, "engine": "far"}, "unknown container engine 'far'; CONTAINER_ENGINES names local"),
    ):
        with pytest.raises(StepImpossible, match=sentence):
            await choose(build(**words))
    engine.ask("POST", "/containers/shop-1/pause")
    with pytest.raises(StepImpossible, match="is paused already, by somebody else"):
        await choose(build(pause=True))
    settings.CONTAINER_ENGINES = {}
    with pytest.raises(StepImpossible, match="there is no container engine; CONTAINER_ENGINES names none"):
        DRIVER.check_fault(build(pause=True), PLATFORM)


async def test_a_fault_of_several_containers_is_injected_on_all_or_on_none(engine: ContainerEngine) -> None:
    for number in (1, 2):
        engine.run(f"shop-{number}", "sleep", "600", labels=SHOP)
    engine.run("queue", "sleep", "600")
    given = build(where=SHOP, pause=True)
    fault = await choose(given)
    engine.remove("shop-2")
    with pytest.raises(StepFailed, match="'shop-2' is gone"):
        await DRIVER.inject(given, PLATFORM, fault)
    assert engine.is_running("shop-1")


async def test_an_engine_over_tls_has_no_guardian_and_any_process_undoes_its_faults(
    engine: ContainerEngine, shop: str, settings: Any, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    (folder := tmp_path / "far").mkdir()
    both = authority.issue("coordinator", "client.pem")  # the certificate and its key
    for name in ("cert.pem", "key.pem"):
        shutil.copy(both, folder / name)
    shutil.copy(authority.path, folder / "ca.pem")
    async with relay_by_tls(engine, authority) as port:
        settings.CONTAINER_ENGINES = {"far": f"tcp://localhost:{port}"}
        settings.CONTAINER_TLS_DIR = tmp_path
        given = build(pause=True)
        assert not DRIVER.is_leased({"name": shop, "pause": True})
        fault = await inject(given)
        assert "host" not in fault.target
        assert engine.read_state(shop) == "paused"
        assert await Container().remove(given, PLATFORM, fault)
        assert not await DRIVER.is_present(given, PLATFORM, fault)
        assert engine.is_running(shop)
        restart = build(restart=True, grace="0s")
        await inject(restart, "f2")
        assert engine.is_running(shop)
        shutil.copy(Authority(folder).path, folder / "ca.pem")  # of somebody else
        with pytest.raises(StepNotSent, match=r"engine 'far' cannot be reached: .*certificate"):
            await choose(given)


async def test_a_probe_tells_state_health_and_restarts(engine: ContainerEngine, shop: str) -> None:
    async def look(**words: Any) -> dict[str, Any]:
        return dict(await DRIVER.probe(ContainerArguments.model_validate(words), PLATFORM))

    check = {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 10**11}}
    engine.run("shop-2", "sleep", "600", labels=SHOP, more=check)
    engine.run("shop-3", "false", RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 1})
    wait_for(
        lambda: engine.inspect("shop-2")["State"].get("Health", {}).get("Status") == "healthy",
        what="the container is healthy",
    )
    wait_for(lambda: engine.read_state("shop-3") == "exited", what="the engine has given up")
    both = {"count": 2, "running": 2, "healthy": 1, "state": "running", "health": "mixed", "restarts": 0}
    assert await look(where=SHOP) == both
    ended = await look(engine="local", name="shop-3")
    assert (ended["state"], ended["restarts"], ended["exit_code"]) == ("exited", 1, 1)
    engine.ask("POST", f"/containers/{shop}/pause")
    paused = await look(name=shop)
    assert (paused["state"], paused["running"], paused["health"]) == ("paused", 0, "none")
    absent = await look(name="nobody")
    assert (absent["count"], absent["state"], absent["health"]) == (0, "absent", "absent")


@pytest.mark.nftables
async def test_the_network_inside_a_container_is_broken(engine: ContainerEngine, networked: str) -> None:
    engine.run("shop-2", network=NETWORK)
    address = engine.inspect("shop-2")["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]

    pid = engine.inspect(networked)["State"]["Pid"]

    def fetch() -> str:
        """What is answered to somebody in the network of the first container."""
        command = ["curl", "--silent", "--max-time", "2", f"http://{address}:{PORT}/"]
        inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False).stdout

    wait_for(lambda: "fine" in fetch(), what="the second container answers the first")
    given = build(blackhole={"to": address, "port": PORT})
    fault = await inject(given)
    assert "fine" not in fetch()
    assert await DRIVER.is_present(given, PLATFORM, fault)
    await DRIVER.renew(given, PLATFORM, fault)
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert "fine" in fetch()
    assert not await DRIVER.is_present(given, PLATFORM, fault)
    await inject(given, "f2", lease=8.0)
    wait_for(lambda: "fine" in fetch(), what="the kernel has ended the fault")


@pytest.mark.nftables
async def test_names_are_wrong_inside_a_container(engine: ContainerEngine, networked: str) -> None:
    given = build(dns={"names": ["shop"], "answer": "10.9.8.7"})
    assert "10.9.8.7" not in engine.run_inside(networked, "nslookup", "shop")
    fault = await inject(given)
    assert "10.9.8.7" in engine.run_inside(networked, "nslookup", "shop")
    assert await DRIVER.remove(given, PLATFORM, fault)
    assert "10.9.8.7" not in engine.run_inside(networked, "nslookup", "shop")


@pytest.mark.nftables
async def test_a_fault_of_a_network_is_lost_with_its_container(
    engine: ContainerEngine, networked: str
) -> None:
    given = build(reset={"to": "10.9.8.7", "port": 80})
    fault = await inject(given)
    engine.ask("POST", f"/containers/{networked}/restart?t=1")
    with pytest.raises(FaultGone, match="has ended or was restarted"):
        await DRIVER.renew(given, PLATFORM, fault)
    assert not await DRIVER.is_present(given, PLATFORM, fault)
    await DRIVER.remove(given, PLATFORM, fault)
    assert not list(find_state_folder("networks").glob("*"))
