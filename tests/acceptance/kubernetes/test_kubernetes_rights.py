"""Accounts with few rights: each kind of fault needs just the rules that are printed for it."""

from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import StepNotDone
from scenarios.drivers.kubernetes.arguments import CHAOS_GROUPS, OF_NODES, KubernetesFaultArguments
from scenarios.drivers.kubernetes.kinds import ONCE
from scenarios.drivers.kubernetes.rules import RULES, build_patch_rule
from scenarios.drivers.kubernetes.sweeping import sweep
from tests.servers.chaos_definitions import SLOW
from tests.servers.cluster_account import Right, open_account
from tests.servers.cluster_shop import Shop, build_fault, expire
from tests.servers.kube_apiserver import build_node, build_pod

pytestmark = pytest.mark.kube_apiserver

UNUSED = {"namespaces", "statefulsets", "replicasets", "daemonsets"}

WORDS: dict[str, dict[str, Any]] = {
    "scale": {"replicas": 0},
    "patch": {"of": "Deployment", "apiVersion": "apps/v1", "path": "/spec/paused", "value": True},
    "chaos": SLOW,
}


@pytest.mark.parametrize("kind", KubernetesFaultArguments.KINDS)
async def test_errors_ask_for_just_the_rules_that_are_printed_for_the_kind(
    shop: Shop, settings: Any, tmp_path: Path, kind: str
) -> None:
    """Faults of an account that begins without rights, and gets those that errors name."""
    node = f"node-{shop.namespace}"
    if kind in OF_NODES:
        shop.server.apply(build_node(node))
        shop.server.apply(build_pod("moved", shop.namespace, "cart", node=node))
    account = open_account(shop.server, kind, shop.namespace, tmp_path)
    settings.KUBERNETES_CONFIG = str(account.kubeconfig)
    settings.KUBERNETES_NAMESPACES = (shop.namespace,)
    settings.KUBERNETES_PATCHED_KINDS = ("apps/v1/Deployment",)
    for choice in list_choices(kind, node):
        where = {} if kind in OF_NODES else {"namespace": shop.namespace}
        fault = build_fault({**where, **choice, kind: WORDS.get(kind, {})})
        await account.do(fault.inject)
        await account.do(fault.renew)
        await account.do(fault.remove)
        assert not await account.do(fault.is_present)
    if kind not in ONCE:
        await account.do(fault.inject)
        expire(shop.server, fault)
        await account.do(sweep_all)
        assert not await fault.is_present()
    assert set(account.rights) == list_printed(kind)


def list_choices(kind: str, node: str) -> list[dict[str, Any]]:
    """One object by its name, and by what it has."""
    if kind in OF_NODES:
        return [{"name": node}, {"fields": {"metadata.name": node}}]
    if kind == "chaos":
        return [{}]
    if kind in {"delete_pod", "evict", "isolate"}:
        return [{"name": "cart-0"}, {"where": {"app": "cart"}, "pick": 1}]
    return [{"name": "cart"}, {"where": {"app": "cart"}}]


async def sweep_all() -> None:
    swept = await sweep()
    if swept.failed:
        raise StepNotDone("; ".join(swept.failed))


def list_printed(kind: str) -> set[Right]:
    """Those of the resources that the test uses. Only where nothing is found, the namespace is looked up."""
    more = [build_patch_rule("apps", "deployments", is_namespaced=True)] if kind == "patch" else []
    return {
        Right(
            rule.group,
            resource.replace("*", "networkchaos"),
            verb,
            "ClusterRole" if rule.everywhere else "Role",
        )
        for rule in [*RULES[kind], *more]
        for resource in rule.resources
        for verb in rule.verbs
        if resource not in UNUSED and rule.group != CHAOS_GROUPS[1]
    }
