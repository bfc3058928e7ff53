"""The RBAC rules that each kind of fault needs, and the Roles made of them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.drivers.kubernetes.arguments import CHAOS_GROUPS, KubernetesFaultArguments

RBAC = "rbac.authorization.k8s.io"
ACCOUNT = "test-coordinator-faults"
PROBE, DISCOVERY = "probe", "discovery"
_READ, _CHANGE = ("get", "list"), ("get", "list", "patch")


@dataclass(frozen=True, slots=True)
class Rule:
    """`everywhere`: needed in all namespaces, or of objects that are in none."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    everywhere: bool = False


_NAMESPACE = Rule("", ("namespaces",), ("get",))
_CORDON = Rule("", ("nodes",), _CHANGE, everywhere=True)
RULES: Mapping[str, tuple[Rule, ...]] = {
    PROBE: (
        _NAMESPACE,
        Rule("", ("events", "pods"), _READ),
        Rule("apps", ("daemonsets", "deployments", "replicasets", "statefulsets"), _READ),
    ),
    DISCOVERY: (_NAMESPACE, Rule("", ("services",), _READ)),
    "delete_pod": (_NAMESPACE, Rule("", ("pods",), ("get", "list", "delete"))),
    "evict": (_NAMESPACE, Rule("", ("pods",), _READ), Rule("", ("pods/eviction",), ("create",))),
    "scale": (_NAMESPACE, Rule("apps", ("deployments", "replicasets", "statefulsets"), _CHANGE)),
    "rollout_restart": (_NAMESPACE, Rule("apps", ("daemonsets", "deployments", "statefulsets"), _CHANGE)),
    "isolate": (
        _NAMESPACE,
        Rule("", ("pods",), _CHANGE),
        Rule("networking.k8s.io", ("networkpolicies",), ("get", "list", "create", "patch", "delete")),
    ),
    "cordon": (_CORDON,),
    "drain": (
        _CORDON,
        Rule("", ("pods",), ("list",), everywhere=True),
        Rule("", ("pods/eviction",), ("create",), everywhere=True),
    ),
    # What else may be patched, the settings say.
    "patch": (_NAMESPACE,),
    "chaos": (
        _NAMESPACE,
        *(Rule(group, ("*",), ("get", "list", "create", "patch", "delete")) for group in CHAOS_GROUPS),
    ),
}
# Those that break one namespace, and nothing but its own objects.
USUAL = ("delete_pod", "evict", "scale", "rollout_restart", "isolate")
ALL = (*KubernetesFaultArguments.KINDS, PROBE, DISCOVERY)


def build_patch_rule(group: str, plural: str, *, is_namespaced: bool) -> Rule:
    return Rule(group, (plural,), _CHANGE, everywhere=not is_namespaced)


def build_roles(
    kinds: Iterable[str], namespace: str, account_namespace: str, more: Iterable[Rule] = ()
) -> list[dict[str, Any]]:
    """The Role with its binding to the account; and a ClusterRole, where a kind needs one."""
    rules = [rule for kind in kinds for rule in RULES[kind]] + list(more)
    documents = []
    for everywhere in (False, True):
        merged = merge([rule for rule in rules if rule.everywhere == everywhere])
        if merged:
            documents += _build_role(merged, "" if everywhere else namespace, account_namespace)
    return documents


def merge(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """One rule for all resources of a group that need the same verbs."""
    verbs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for rule in rules:
        for resource in rule.resources:
            verbs[rule.group, resource] |= set(rule.verbs)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), needed in sorted(verbs.items()):
        alike[group, tuple(sorted(needed))].append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(needed)}
        for (group, needed), resources in sorted(alike.items())
    ]


def _build_role(rules: list[dict[str, Any]], namespace: str, account_namespace: str) -> list[dict[str, Any]]:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": ACCOUNT, **({"namespace": namespace} if namespace else {})}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": account_namespace}],
        },
    ]
