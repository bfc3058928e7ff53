"""Each kind of fault of a cluster: what it changes, what it may choose, and the rights that it needs."""

from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import StepImpossible, StepNotDone
from scenarios.drivers.kubernetes.arguments import KubernetesArguments
from scenarios.drivers.kubernetes.driver import Kubernetes
from tests.servers.cluster_shop import Shop, build_fault, scale
from tests.servers.kube_apiserver import build_node, build_pod
from tests.unit.scenarios.drivers.conftest import Platform

pytestmark = pytest.mark.kube_apiserver


async def test_pods_are_isolated_by_a_policy_until_the_fault_is_removed(inject: Any, shop: Shop) -> None:
    fault = await inject(
        {
            "namespace": shop.namespace,
            "where": {"app": "cart"},
            "pick": 1,
            "seed": 3,
            "isolate": {"direction": "in"},
        }
    )
    (policy,) = shop.server.ask("GET", shop.find_path("networkpolicies"))["items"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    (isolated,) = shop.list_pods(**policy["spec"]["podSelector"]["matchLabels"])
    await fault.renew()
    assert await fault.remove() is True
    assert shop.server.ask("GET", shop.find_path("networkpolicies"))["items"] == []
    assert shop.read_marks(shop.find_path("pods", isolated)) == set()


async def test_isolation_by_labels_covers_new_pods_and_marks_none(inject: Any, shop: Shop) -> None:
    words = {"namespace": shop.namespace, "where": {"app": "cart"}, "isolate": {}, "allow_all": True}
    await inject(words)
    (policy,) = shop.server.ask("GET", shop.find_path("networkpolicies"))["items"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app": "cart"}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert shop.read_marks(shop.find_path("pods", "cart-0")) == set()


async def test_isolation_that_another_policy_would_defeat_is_refused(shop: Shop) -> None:
    shop.server.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "open", "namespace": shop.namespace},
            "spec": {"podSelector": {"matchLabels": {"app": "cart"}}, "ingress": [{}]},
        }
    )
    words = {"namespace": shop.namespace, "where": {"app": "cart"}, "pick": 1, "isolate": {}}
    with pytest.raises(StepImpossible, match="'open' allow connections of these pods"):
        await build_fault(words).inject()


async def test_deleted_pods_are_those_of_the_seed(shop: Shop) -> None:
    words = {"namespace": shop.namespace, "where": {"app": "cart"}, "pick": 2, "seed": 5, "delete_pod": {}}
    fault = build_fault(words)
    deleted = (await fault.inject())["deleted"]
    assert len(deleted) == 2
    assert set(shop.list_pods()) == {"cart-0", "cart-1", "cart-2"} - set(deleted)
    assert await fault.remove() is False
    assert not await fault.is_present()


async def test_pod_that_nothing_would_replace_is_not_deleted(shop: Shop) -> None:
    shop.server.apply(build_pod("alone", shop.namespace, "alone", owner=""))
    for kind in ("delete_pod", "evict"):
        with pytest.raises(StepImpossible, match="no controller would replace alone"):
            await build_fault({"namespace": shop.namespace, "name": "alone", kind: {}}).inject()
    assert "alone" in shop.list_pods()


async def test_eviction_obeys_a_disruption_budget(shop: Shop) -> None:
    budget = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "cart", "namespace": shop.namespace},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "cart"}}},
    }
    path = f"/apis/policy/v1beta1/namespaces/{shop.namespace}/poddisruptionbudgets"
    shop.server.ask("POST", path, budget)
    shop.server.merge(shop.find_path("pods", "cart-0") + "/status", {"status": {"phase": "Running"}})
    words = {"namespace": shop.namespace, "name": "cart-0", "evict": {}, "timeout": "9s"}
    with pytest.raises(StepNotDone, match="a disruption budget forbids it"):
        await build_fault(words).inject()
    assert "cart-0" in shop.list_pods()
    shop.server.ask("DELETE", f"{path}/cart")
    assert (await build_fault(words).inject())["evicted"] == ["cart-0"]
    assert "cart-0" not in shop.list_pods()


async def test_drained_node_is_schedulable_again_and_its_pods_are_gone(inject: Any, shop: Shop) -> None:
    node = f"node-{shop.namespace}"
    shop.server.apply(build_node(node))
    shop.server.apply(build_node(f"{node}-other"))
    shop.server.apply(build_pod("moved", shop.namespace, "cart", node=node))
    shop.server.apply(build_pod("stays", shop.namespace, "agent", node=node, owner="DaemonSet"))
    fault = await inject({"name": node, "drain": {}})
    assert set(shop.list_pods()) == {"cart-0", "cart-1", "cart-2", "stays"}
    assert (shop.server.get(f"/api/v1/nodes/{node}") or {})["spec"]["unschedulable"] is True
    await fault.renew()
    assert await fault.remove() is True
    assert "unschedulable" not in (shop.server.get(f"/api/v1/nodes/{node}") or {})["spec"]
    assert shop.read_marks(f"/api/v1/nodes/{node}") == set()


async def test_restart_changes_the_template_once(shop: Shop) -> None:
    fault = build_fault({"namespace": shop.namespace, "name": "cart", "rollout_restart": {}})
    before = shop.read_deployment()["metadata"]["generation"]
    await fault.inject()
    await fault.inject()
    assert shop.read_deployment()["metadata"]["generation"] == before + 1
    assert shop.read_marks(shop.deployment) == set()


async def test_choices_of_nothing_and_of_everything_are_refused(shop: Shop) -> None:
    where = {"namespace": shop.namespace, "delete_pod": {}}
    for words, sentence in (
        ({**where, "where": {"app": "till"}}, "has no Pod with app=till in namespace"),
        ({**where, "name": "till-0"}, "has no Pod 'till-0' in namespace"),
        (where, "would have all 3 pods in namespace .* 'allow_all: true'"),
        ({**where, "where": {"app": "cart"}}, "would have all 3 pods"),
        ({**where, "where": {"app": "cart"}, "pick": 4}, "pick=4 is more than the 3 pods with app=cart"),
        ({**where, "namespace": "nowhere", "pick": 1}, "has no namespace 'nowhere'"),
    ):
        with pytest.raises(StepImpossible, match=sentence):
            await build_fault(words).inject()
    assert len(shop.list_pods()) == 3
    assert len((await build_fault({**where, "allow_all": True}).inject())["deleted"]) == 3


async def test_namespace_that_is_being_deleted_is_said_and_nothing_is_half_done(shop: Shop) -> None:
    shop.server.delete(f"/api/v1/namespaces/{shop.namespace}")
    words = {"namespace": shop.namespace, "where": {"app": "till"}, "delete_pod": {}}
    with pytest.raises(StepImpossible, match=f"the namespace '{shop.namespace}' is being deleted"):
        await build_fault(words).inject()
    with pytest.raises(StepNotDone, match=r"refused to create .*: the namespace is being deleted"):
        await build_fault({"namespace": shop.namespace, "name": "cart-0", "isolate": {}}).inject()
    assert shop.read_marks(shop.find_path("pods", "cart-0")) == set()


async def test_nothing_stays_changed_where_one_of_several_objects_refuses(shop: Shop) -> None:
    for name in ("till", "books"):
        document = {**shop.read_deployment()}
        document["metadata"] = {"name": name, "namespace": shop.namespace, "labels": {"of": "sale"}}
        shop.server.apply({key: document[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    await build_fault({**scale(shop), "name": "till"}).inject()
    words = {"namespace": shop.namespace, "where": {"of": "sale"}, "scale": {"replicas": 1}}
    with pytest.raises(StepNotDone, match=r"'till' .* has the fault .* it was removed from 1 others"):
        await build_fault(words).inject()
    books = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments/books"
    assert shop.read_marks(books) == set()
    assert (shop.server.get(books) or {})["spec"]["replicas"] == 3


async def test_account_without_rights_is_told_which_rule_it_lacks(shop: Shop, settings: Any) -> None:
    settings.KUBERNETES_CONFIG = str(shop.server.limited)
    rule = r'\{apiGroups: \["apps"\], resources: \[deployments\], verbs: \[get\]\}'
    with pytest.raises(StepNotDone, match=f"add {rule} to the Role of its account in namespace"):
        await build_fault(scale(shop)).inject()


async def test_expired_token_is_said(shop: Shop, settings: Any, tmp_path: Path) -> None:
    shop.server.write_kubeconfig(tmp_path / "expired", "no-token-any-more")
    settings.KUBERNETES_CONFIG = str(tmp_path / "expired")
    with pytest.raises(StepNotDone, match=r"does not accept the account: its token .* has expired"):
        await build_fault(scale(shop)).inject()


async def test_probes_count_what_is_there(shop: Shop) -> None:
    path = shop.find_path("pods", "cart-0") + "/status"
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    ready = [{"name": "main", "ready": True, "restartCount": 2, "image": "i", "imageID": "i", "state": state}]
    shop.server.merge(path, {"status": {"phase": "Running", "containerStatuses": ready}})
    shop.server.merge(f"{shop.deployment}/status", {"status": {"replicas": 3, "readyReplicas": 1}})
    shop.server.ask("POST", shop.find_path("events"), build_event(shop.namespace))
    pods = await look({"namespace": shop.namespace, "where": {"app": "cart"}})
    assert pods == {"found": 3, "ready": 1, "phases": {"Running": 1, "Pending": 2}, "restarts": 2}
    one = await look({"namespace": shop.namespace, "of": "Deployment", "name": "cart"})
    assert one == {"found": 1, "ready": 1, "wanted": 3, "updated": 0, "available": 0}
    events = await look({"namespace": shop.namespace, "of": "Event", "fields": {"reason": "BackOff"}})
    assert events == {"found": 1, "reasons": {"BackOff": 4}, "messages": ["it was started again"]}
    assert (await look({"namespace": shop.namespace, "of": "Pod", "name": "till"}))["found"] == 0
    with pytest.raises(StepImpossible, match="has no namespace 'nowhere'"):
        await look({"namespace": "nowhere"})


def build_event(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "cart-0.1", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": "cart-0", "namespace": namespace},
        "reason": "BackOff",
        "message": "it was started again",
        "type": "Warning",
        "count": 4,
    }


async def look(words: dict[str, Any]) -> dict[str, Any]:
    arguments = KubernetesArguments.model_validate(words)
    seen = dict(await Kubernetes().probe(arguments, Platform()))
    del seen["elapsed"]
    return seen
