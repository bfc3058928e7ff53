"""Faults of a real API server: injected, renewed, removed, and what others do meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from scenarios.domain.errors import FaultGone, StepImpossible, StepNotDone
from scenarios.drivers.kubernetes.changes import MAX_TRIES
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.resources import DEPLOYMENTS, Resource
from scenarios.drivers.kubernetes.sweeping import sweep
from tests.servers.cluster_shop import Shop, build_fault, scale
from tests.servers.loopback import wait_for

pytestmark = pytest.mark.kube_apiserver


async def test_scaled_deployment_gets_its_replicas_back(inject: Any, shop: Shop) -> None:
    before = shop.read_deployment()
    fault = await inject(scale(shop))
    assert shop.read_deployment()["spec"]["replicas"] == 0
    assert await fault.is_present()
    assert (await fault.inject())["changed"] == ["cart"]  # again: nothing more
    await fault.renew()
    assert await fault.remove() is True
    after = shop.read_deployment()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert shop.read_marks(shop.deployment) == set()
    assert not await fault.is_present()
    assert await fault.remove() is False


async def test_another_process_removes_the_fault_of_a_dead_one(inject: Any, shop: Shop) -> None:
    fault = await inject(scale(shop))
    assert await fault.elsewhere("http://127.0.0.1:1").remove() is True
    assert shop.read_deployment()["spec"]["replicas"] == 3
    with pytest.raises(FaultGone, match="removed"):
        await fault.renew()


async def test_what_somebody_else_has_set_meanwhile_stays(inject: Any, shop: Shop) -> None:
    fault = await inject(scale(shop))
    shop.server.merge(shop.deployment, {"spec": {"replicas": 7}})
    with pytest.raises(FaultGone, match="somebody has changed '/spec/replicas'"):
        await fault.renew()
    assert await fault.remove() is True
    assert shop.read_deployment()["spec"]["replicas"] == 7
    assert shop.read_marks(shop.deployment) == set()


async def test_object_that_was_deleted_has_no_fault_any_more(inject: Any, shop: Shop) -> None:
    fault = await inject(scale(shop))
    shop.server.delete(shop.deployment)
    with pytest.raises(FaultGone, match="was deleted"):
        await fault.renew()
    assert await fault.remove() is False
    assert not await fault.is_present()


async def test_object_that_is_deleted_between_the_choice_and_the_injection_is_said(shop: Shop) -> None:
    fault = build_fault(scale(shop))
    target = await fault.driver.choose_target(fault.arguments, fault.platform)
    shop.server.delete(shop.deployment)
    with pytest.raises(StepNotDone, match=r"Deployment 'cart' in namespace .* was deleted meanwhile"):
        await fault.driver.inject(
            fault.arguments, fault.platform, type(fault.call)(fault.call.id, 60.0, target)
        )


async def test_second_fault_of_an_object_is_refused(inject: Any, shop: Shop) -> None:
    await inject(scale(shop))
    with pytest.raises(StepNotDone, match=r"has the fault .* already, until 20"):
        await build_fault(scale(shop, 1)).inject()
    assert shop.read_deployment()["spec"]["replicas"] == 0


@pytest.fixture
def meddle(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let somebody else write the Deployment after each of the next reads, before the driver does."""
    read, left = Client.get, 0

    async def get(client: Client, resource: Resource, *place: Any) -> Any:
        nonlocal left
        found = await read(client, resource, *place)
        if left and resource == DEPLOYMENTS:
            left -= 1
            body = {"metadata": {"annotations": {"seen": str(left)}}}
            await asyncio.to_thread(shop.server.merge, shop.deployment, body)
        return found

    def begin(times: int) -> None:
        nonlocal left
        left = times

    monkeypatch.setattr(Client, "get", get)
    return begin


async def test_changes_of_others_at_the_same_moment_are_kept(
    inject: Any, shop: Shop, meddle: Callable[[int], None]
) -> None:
    """A change starts again if somebody has written the object since it was read."""
    meddle(MAX_TRIES)  # the first read only chooses
    fault = await inject(scale(shop))
    assert shop.read_deployment()["spec"]["replicas"] == 0
    meddle(MAX_TRIES - 1)
    assert await fault.remove() is True
    assert shop.read_deployment()["spec"]["replicas"] == 3
    assert shop.read_deployment()["metadata"]["annotations"] == {"seen": "0"}


async def test_object_that_others_never_stop_changing_is_left_alone(
    shop: Shop, meddle: Callable[[int], None]
) -> None:
    meddle(100)
    with pytest.raises(StepNotDone, match=r"'cart' in namespace .* was changed by others 5 times in a row"):
        await build_fault(scale(shop)).inject()
    assert shop.read_deployment()["spec"]["replicas"] == 3
    assert shop.read_marks(shop.deployment) == set()


async def test_sweeper_takes_back_what_is_past_its_lease_and_nothing_else(inject: Any, shop: Shop) -> None:
    fault = await inject(scale(shop), lease=1.0)
    shop.server.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "own", "namespace": shop.namespace, "labels": {"app": "cart"}},
        }
    )
    lasting = await inject({"namespace": shop.namespace, "isolate": {}, "where": {"app": "cart"}, "pick": 1})

    def is_removed() -> bool:
        swept = asyncio.run(sweep())
        assert swept.failed == []
        return any("'cart'" in each for each in swept.removed)

    await asyncio.to_thread(wait_for, is_removed, what="the fault is past its lease")
    assert shop.read_deployment()["spec"]["replicas"] == 3
    assert not await fault.is_present()
    assert await lasting.is_present()


async def test_a_field_that_was_not_there_goes_with_the_fault(inject: Any, shop: Shop, settings: Any) -> None:
    settings.KUBERNETES_PATCHED_KINDS = ("apps/v1/Deployment",)
    before = shop.read_deployment()["spec"]
    patch = {
        "of": "Deployment",
        "apiVersion": "apps/v1",
        "path": "/spec/template/spec/nodeSelector/disk",
        "value": "none",
    }
    fault = await inject({"namespace": shop.namespace, "name": "cart", "patch": patch})
    assert shop.read_deployment()["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "none"}
    await fault.renew()
    assert await fault.remove() is True
    assert shop.read_deployment()["spec"] == before


async def test_value_that_the_server_writes_otherwise_is_known_again(
    inject: Any, shop: Shop, settings: Any
) -> None:
    settings.KUBERNETES_PATCHED_KINDS = ("apps/v1/Deployment",)
    path = "/spec/template/spec/containers/0/resources"
    patch = {
        "of": "Deployment",
        "apiVersion": "apps/v1",
        "path": path,
        "value": {"limits": {"cpu": "0.0500", "memory": "1048576"}},
    }
    before = shop.read_deployment()["spec"]
    fault = await inject({"namespace": shop.namespace, "name": "cart", "patch": patch})
    container = shop.read_deployment()["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["cpu"] == "50m"
    await fault.renew()
    assert await fault.remove() is True
    assert shop.read_deployment()["spec"] == before


async def test_value_that_the_server_refuses_changes_nothing(shop: Shop, settings: Any) -> None:
    settings.KUBERNETES_PATCHED_KINDS = ("apps/v1/Deployment",)
    patch = {"of": "Deployment", "apiVersion": "apps/v1", "path": "/spec/replicas", "value": "many"}
    with pytest.raises(StepNotDone, match="refused to patch"):
        await build_fault({"namespace": shop.namespace, "name": "cart", "patch": patch}).inject()
    assert shop.read_marks(shop.deployment) == set()


async def test_kinds_that_the_settings_do_not_name_are_not_patched(shop: Shop) -> None:
    patch = {"of": "Secret", "path": "/data/password", "value": "eA=="}
    with pytest.raises(StepImpossible, match="'v1/Secret' may not be patched: KUBERNETES_PATCHED_KINDS"):
        await build_fault({"namespace": shop.namespace, "name": "db", "patch": patch}).inject()
