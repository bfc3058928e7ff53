"""Cuts pods off by a NetworkPolicy that allows nothing, made for the fault.

Policies only add up: what one allows, no other can forbid. And they need a network that obeys them.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.drivers.kubernetes import changes, marks
from scenarios.drivers.kubernetes.arguments import KubernetesFaultArguments
from scenarios.drivers.kubernetes.changes import Target
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.refusals import Refusal
from scenarios.drivers.kubernetes.resources import NETWORK_POLICIES
from scenarios.drivers.kubernetes.transport import Object

_TYPES = {"in": ["Ingress"], "out": ["Egress"], "both": ["Ingress", "Egress"]}


def marks_pods(arguments: KubernetesFaultArguments) -> bool:
    """Whether the policy finds its pods by the mark of the fault; else by `where`, new pods included."""
    return bool(arguments.name or arguments.fields or arguments.pick is not None or not arguments.where)


async def require_effect(client: Client, arguments: KubernetesFaultArguments, pods: Sequence[Object]) -> None:
    """Raises StepImpossible where another policy allows connections of these pods."""
    types = _TYPES[arguments.isolate.direction]
    allowing = [
        policy["metadata"]["name"]
        for policy in await client.list_objects(NETWORK_POLICIES, arguments.namespace)
        if any(_allows(policy.get("spec") or {}, kind) for kind in types)
        and any(_selects(policy.get("spec") or {}, pod) for pod in pods)
    ]
    if allowing:
        raise StepImpossible(
            f"the NetworkPolicies {', '.join(map(repr, allowing[:5]))} allow connections of these pods, "
            "which another policy cannot forbid: break what is behind them by a fault proxy, or by Chaos Mesh"
        )


def _allows(spec: Mapping[str, Any], kind: str) -> bool:
    return bool(spec.get(kind.lower()))


def _selects(spec: Mapping[str, Any], pod: Object) -> bool:
    """Whether it may select the pod; expressions are not read, so they may select any."""
    labels = pod["metadata"].get("labels") or {}
    wanted = (spec.get("podSelector") or {}).get("matchLabels") or {}
    return bool(wanted.items() <= labels.items())


async def isolate(
    client: Client,
    arguments: KubernetesFaultArguments,
    fault_id: str,
    lease: float,
    targets: Sequence[Target],
) -> Mapping[str, Any]:
    """Mark the pods, then make the policy: until then, nothing is broken."""
    policy, *pods = targets
    await changes.for_each_or_none(
        client, pods, fault_id, lambda pod: changes.change(client, pod, fault_id, lease, lambda _: ())
    )
    content = build_policy(arguments, policy.name, fault_id, marks.compute_until(client.now(), lease))
    try:
        await client.create(NETWORK_POLICIES, arguments.namespace, content)
    except Refusal as refusal:
        if refusal.is_conflict and await changes.is_present(client, policy, fault_id):
            return {"policy": policy.name}
        await changes.for_each(pods, lambda pod: changes.remove_from(client, pod, fault_id))
        raise
    return {"policy": policy.name}


def build_policy(arguments: KubernetesFaultArguments, name: str, fault_id: str, until: str) -> dict[str, Any]:
    """The NetworkPolicy of the fault."""
    label = marks.build_label(fault_id)
    selected = {marks.FAULT: label} if marks_pods(arguments) else dict(arguments.where)
    return {
        "apiVersion": NETWORK_POLICIES.api_version,
        "kind": NETWORK_POLICIES.kind,
        "metadata": marks.build_metadata(name, fault_id, until),
        "spec": {
            "podSelector": {"matchLabels": selected},
            "policyTypes": _TYPES[arguments.isolate.direction],
        },
    }


def build_policy_name(fault_id: str) -> str:
    return f"{marks.PREFIX}-{marks.build_label(fault_id).lower().replace('_', '-')[:24]}".rstrip("-.")
