"""Faults of pods and workloads with the real controllers: what is broken comes back, or it is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from scenarios.domain.errors import StepNotDone
from scenarios.drivers.kubernetes import pods
from tests.servers.cluster_controllers import Kubelet, controllers
from tests.servers.cluster_shop import Shop, build_fault, open_shop, scale
from tests.servers.kube_apiserver import ApiServer
from tests.servers.loopback import wait_for
from tests.unit.scenarios.drivers.one_fault import injecting

pytestmark = pytest.mark.kube_apiserver

BUDGETS = "/apis/policy/v1beta1/namespaces/{}/poddisruptionbudgets"
PATIENCE = "4m"


@pytest.fixture(scope="module")
def busy_shop(api_server: ApiServer) -> Iterator[tuple[Shop, Kubelet]]:
    shop = open_shop(api_server, pods=0)
    with controllers(api_server, shop.namespace) as kubelet:
        yield shop, kubelet


@pytest.fixture
def shop(busy_shop: tuple[Shop, Kubelet], settings: Any) -> Shop:
    """With three pods that are ready."""
    shop, _ = busy_shop
    settings.KUBERNETES_CONFIG = str(shop.server.kubeconfig)
    wait_for(lambda: len(shop.list_ready()) == len(shop.list_pods()) == 3, what="the pods are ready")
    return shop


@pytest.fixture
async def inject(shop: Shop) -> AsyncIterator[Any]:
    async with injecting(build_fault) as begin:
        yield begin


async def wait_until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what=what)


def set_budget(shop: Shop, **spec: int) -> None:
    """Replace the disruption budget of the pods, and wait until its controller has seen it."""
    path = BUDGETS.format(shop.namespace)
    if shop.server.get(f"{path}/cart"):
        shop.server.delete(f"{path}/cart")
    metadata = {"name": "cart", "namespace": shop.namespace}
    selector = {"selector": {"matchLabels": {"app": "cart"}}}
    kind = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget"}
    shop.server.ask("POST", path, {**kind, "metadata": metadata, "spec": {**spec, **selector}})

    def is_seen() -> bool:
        status = shop.server.ask("GET", f"{path}/cart").get("status", {})
        return bool(status.get("observedGeneration") and status.get("currentHealthy") == 3)

    wait_for(is_seen, what="the budget counts three healthy pods")


async def test_deleted_pod_is_replaced(inject: Any, shop: Shop) -> None:
    before = shop.list_ready()
    fault = await inject({"namespace": shop.namespace, "where": {"app": "cart"}, "pick": 1, "delete_pod": {}})
    await wait_until(lambda: len(shop.list_ready()) == 3 and shop.list_ready() != before, "it is replaced")
    assert len(set(before) - set(shop.list_ready())) == 1
    assert not await fault.is_present()


async def test_scaled_deployment_has_fewer_pods_until_the_fault_is_removed(inject: Any, shop: Shop) -> None:
    fault = await inject(scale(shop, 1))
    await wait_until(lambda: len(shop.list_pods()) == 1, "two pods are gone")
    await fault.renew()
    assert await fault.remove() is True
    await wait_until(lambda: len(shop.list_ready()) == 3, "they are back")


async def test_restart_replaces_every_pod(inject: Any, shop: Shop) -> None:
    before = set(shop.list_ready())
    fault = await inject({"namespace": shop.namespace, "name": "cart", "rollout_restart": {}})
    await wait_until(
        lambda: len(shop.list_ready()) == 3 and not before & set(shop.list_pods()), "all pods are new ones"
    )
    assert await fault.remove() is False


async def test_eviction_that_a_budget_forbids_is_said_and_the_pod_stays(
    inject: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"namespace": shop.namespace, "where": {"app": "cart"}, "pick": 1, "evict": {}}
    words["timeout"] = PATIENCE
    before = shop.list_ready()
    set_budget(shop, minAvailable=3)
    monkeypatch.setattr(pods, "BUDGET_REST_SECONDS", 1000.0)  # not asked again
    with pytest.raises(StepNotDone, match=r"a disruption budget forbids it: .* violate the pod's disruption"):
        await build_fault(words).inject()
    assert shop.list_ready() == before
    set_budget(shop, minAvailable=2)
    await inject(words)
    await wait_until(lambda: len(shop.list_ready()) == 3 and shop.list_ready() != before, "it is replaced")


async def test_drain_moves_pods_as_fast_as_their_budget_allows(
    inject: Any, busy_shop: tuple[Shop, Kubelet], shop: Shop
) -> None:
    """Only one may be away at a time: the next one is evicted when the last one's successor is ready."""
    _, kubelet = busy_shop
    first, other = kubelet.nodes
    before = set(shop.list_ready())
    assert find_nodes(shop) == {first}
    set_budget(shop, maxUnavailable=1)
    fault = await inject({"name": first, "drain": {}, "timeout": PATIENCE})
    await wait_until(lambda: len(shop.list_ready()) == 3, "the pods are replaced")
    assert find_nodes(shop) == {other}
    assert not before & set(shop.list_pods())
    assert await fault.remove() is True


def find_nodes(shop: Shop) -> set[str]:
    found = shop.server.ask("GET", shop.find_path("pods"))["items"]
    return {pod["spec"]["nodeName"] for pod in found}
