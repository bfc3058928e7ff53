"""Accounts with few rights: each kind of fault needs just the rules that are printed for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import StepNotDone
from scenarios.drivers.kubernetes import clusters
from scenarios.drivers.kubernetes.arguments import CHAOS_GROUPS, OF_NODES, KubernetesFaultArguments
from scenarios.drivers.kubernetes.kinds import ONCE
from scenarios.drivers.kubernetes.rules import ACCOUNT, RULES, build_patch_rule
from scenarios.drivers.kubernetes.sweeping import sweep
from tests.servers.chaos_definitions import SLOW
from tests.servers.cluster_account import Right, find_allowed, open_account
from tests.servers.cluster_shop import Shop, build_fault, expire, open_shop
from tests.servers.kube_apiserver import ApiServer, build_node, build_pod
from tests.servers.loopback import wait_for
from tests.servers.manifests import list_manifests

pytestmark = pytest.mark.kube_apiserver

COORDINATOR = "test-coordinator"
# Those of a server of 1.20, whose objects have the same fields.
OLD_VERSIONS = {"CronJob": "batch/v1beta1"}
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


@pytest.fixture
def inside(
    api_server: ApiServer, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """From the call on, this process has the token in the places where each pod of an account finds it."""

    def enter(token: str) -> None:
        certificate = api_server.folder / "certificates" / "apiserver.crt"
        (tmp_path / "ca.crt").write_text(certificate.read_text())
        (tmp_path / "token").write_text(token)
        monkeypatch.setattr(clusters, "ACCOUNT_DIR", tmp_path)
        host, port = api_server.server.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        settings.KUBERNETES_CONFIG = ""

    return enter


async def test_manifests_install_an_account_with_just_the_rights_that_faults_need(
    api_server: ApiServer, settings: Any, inside: Callable[[str], None]
) -> None:
    shop = open_shop(api_server, namespace="shop")
    for document in list_applied():
        api_server.ensure(document)
    path = f"/api/v1/namespaces/{COORDINATOR}/serviceaccounts/{ACCOUNT}/token"
    inside(api_server.ask("POST", path, {"spec": {}})["status"]["token"])
    settings.KUBERNETES_NAMESPACES = (shop.namespace,)
    wait_for(lambda: is_allowed(api_server, "patch", "deployments", "apps"), what="the role is known")
    for kind in ("delete_pod", "evict", "isolate", "rollout_restart", "scale"):
        for choice in list_choices(kind, ""):
            fault = build_fault({"namespace": shop.namespace, **choice, kind: WORDS.get(kind, {})})
            await fault.inject()
            await fault.renew()
            await fault.remove()
            shop.fill()
    await fault.inject()
    expire(api_server, fault)
    await sweep_all()
    assert not await fault.is_present()
    for verb, resource, group, namespace in (
        ("get", "secrets", "", shop.namespace),
        ("create", "pods", "", shop.namespace),
        ("delete", "deployments", "apps", shop.namespace),
        ("list", "pods", "", COORDINATOR),
        ("patch", "nodes", "", ""),
    ):
        assert not is_allowed(api_server, verb, resource, group, namespace), (verb, resource, namespace)


def list_applied() -> list[dict[str, Any]]:
    """The manifests as kustomize gives them, by the names that this server has for them."""
    chosen = []
    for document in list_manifests("kubernetes-faults"):
        document["apiVersion"] = OLD_VERSIONS.get(document["kind"], document["apiVersion"])
        metadata = document["metadata"]
        metadata["name"] = metadata["name"].replace("VERSION", "0.1.0")
        if document["kind"] != "Namespace":
            metadata.setdefault("namespace", COORDINATOR)
        if document["kind"] not in {"ClusterRole", "ClusterRoleBinding"}:  # commented out
            chosen.append(document)
    return sorted(chosen, key=lambda document: document["kind"] != "Namespace")


def is_allowed(server: ApiServer, verb: str, resource: str, group: str = "", namespace: str = "shop") -> bool:
    right = Right(group, resource, verb, "Role")
    return find_allowed(server, f"system:serviceaccount:{COORDINATOR}:{ACCOUNT}", right, namespace)
