"""Objects of Chaos Mesh and Litmus as faults, by their definitions in a real API server."""

from typing import Any
from unittest.mock import patch

import pytest

from scenarios.domain.errors import FaultGone, StepImpossible, StepNotDone
from scenarios.drivers.kubernetes import chaos
from scenarios.drivers.kubernetes.sweeping import sweep
from tests.servers.chaos_definitions import SLOW
from tests.servers.cluster_shop import Shop, build_fault, expire

pytestmark = pytest.mark.kube_apiserver


def slow(shop: Shop, **more: Any) -> dict[str, Any]:
    """A fault of Chaos Mesh."""
    return {"namespace": shop.namespace, "chaos": {**SLOW, "spec": {**SLOW["spec"], **more}}}


def list_chaos(shop: Shop, group: str = "chaos-mesh.org", plural: str = "networkchaos") -> dict[str, Any]:
    """The specs of the objects, by their names."""
    path = f"/apis/{group}/v1alpha1/namespaces/{shop.namespace}/{plural}"
    return {each["metadata"]["name"]: each["spec"] for each in shop.server.ask("GET", path)["items"]}


async def test_object_of_chaos_mesh_lasts_a_lease_and_is_renewed_by_another(inject: Any, shop: Shop) -> None:
    fault = await inject(slow(shop, duration="9h"), lease=90.0)
    ((first, spec),) = list_chaos(shop).items()
    assert spec["selector"] == {"namespaces": [shop.namespace]}
    assert spec["duration"] == "90s"
    assert (await fault.inject())["made"] == f"NetworkChaos {first}"  # again: nothing more
    await fault.renew()
    assert list_chaos(shop).keys() == {first}
    with patch.object(chaos, "compute_seconds", return_value=0.0):  # half of its time is over
        await fault.renew()
    ((second, _),) = list_chaos(shop).items()
    assert second != first
    assert await fault.remove() is True
    assert list_chaos(shop) == {}
    assert await fault.remove() is False
    with pytest.raises(FaultGone, match="its object was deleted"):
        await fault.renew()


async def test_object_whose_operator_still_undoes_it_is_present(inject: Any, shop: Shop) -> None:
    fault = await inject(slow(shop))
    path = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{shop.namespace}/networkchaos"
    (name,) = list_chaos(shop)
    shop.server.merge(f"{path}/{name}", {"metadata": {"finalizers": ["chaos-mesh/records"]}})
    assert await fault.remove() is True
    assert await fault.is_present()
    shop.server.merge(f"{path}/{name}", {"metadata": {"finalizers": None}})
    assert not await fault.is_present()


async def test_object_of_litmus_gets_the_duration(inject: Any, shop: Shop) -> None:
    spec = {
        "engineState": "active",
        "appinfo": {"applabel": "app=cart"},
        "experiments": [{"name": "pod-delete"}],
    }
    words = {"apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosEngine", "spec": spec}
    await inject({"namespace": shop.namespace, "chaos": words}, lease=5.0)
    ((_, made),) = list_chaos(shop, "litmuschaos.io", "chaosengines").items()
    env = [{"name": "TOTAL_CHAOS_DURATION", "value": "60"}]
    assert made["experiments"] == [{"name": "pod-delete", "spec": {"components": {"env": env}}}]
    assert made["appinfo"]["appns"] == shop.namespace


async def test_object_that_the_definition_refuses_is_not_made(shop: Shop) -> None:
    with pytest.raises(
        StepNotDone, match=r"refused to create .* 'NetworkChaos.*spec\.action: Unsupported value"
    ):
        await build_fault(slow(shop, action="dellay")).inject()
    assert list_chaos(shop) == {}


async def test_sweeper_deletes_objects_of_operators(inject: Any, shop: Shop) -> None:
    fault = await inject(slow(shop))
    expire(shop.server, fault)
    (removed,) = [each for each in (await sweep()).removed if shop.namespace in each]
    assert removed.startswith("NetworkChaos ")
    assert list_chaos(shop) == {}


async def test_chaos_that_is_not_installed_is_refused(shop: Shop) -> None:
    spec = {"action": "delay", "mode": "all", "selector": {}}
    for version, kind, sentence in (
        ("chaos-mesh.org/v1alpha1", "StressChaos", "has no StressChaos of .*: install Chaos Mesh there"),
        ("litmuschaos.io/v1", "ChaosEngine", "has no ChaosEngine of .*: install Litmus there"),
    ):
        words = {"namespace": shop.namespace, "chaos": {"apiVersion": version, "kind": kind, "spec": spec}}
        with pytest.raises(StepImpossible, match=sentence):
            await build_fault(words).inject()
