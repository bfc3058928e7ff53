"""Undoes what is past its time in a cluster, also when no coordinator lives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from django.conf import settings

from scenarios.domain.errors import StepFailed
from scenarios.drivers.kubernetes import changes, marks
from scenarios.drivers.kubernetes.arguments import CHAOS_GROUPS
from scenarios.drivers.kubernetes.changes import Target
from scenarios.drivers.kubernetes.client import Client, connected
from scenarios.drivers.kubernetes.refusals import Refusal
from scenarios.drivers.kubernetes.resources import (
    DEPLOYMENTS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Resource,
)

SWEEP_SECONDS = 60.0
# What cuts pods off comes first.
_SWEPT = (NETWORK_POLICIES, DEPLOYMENTS, STATEFUL_SETS, REPLICA_SETS, PODS, NODES)
_CHAOS_VERSION = "v1alpha1"


@dataclass(slots=True)
class Swept:
    """`unread` are the resources that the account may not list: nothing of ours can be there."""

    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


async def sweep(cluster: str | None = None, seconds: float = SWEEP_SECONDS) -> Swept:
    """Undo the faults whose time is over.

    Raises:
        StepFailed: the API server cannot be reached, or does not accept the account.
    """
    swept = Swept()
    async with connected(cluster, seconds) as client:
        for resource in await _list_resources(client):
            namespaces = settings.KUBERNETES_NAMESPACES if resource.is_namespaced else ()
            for namespace in namespaces or (None,):
                await _sweep(client, resource, namespace, swept)
    return swept


async def _list_resources(client: Client) -> list[Resource]:
    found = list(_SWEPT)
    for group in CHAOS_GROUPS:
        found += await _read_resources(client, f"{group}/{_CHAOS_VERSION}", None)
    for name in settings.KUBERNETES_PATCHED_KINDS:
        version, _, kind = name.rpartition("/")
        found += await _read_resources(client, version, kind)
    return list(dict.fromkeys(found))


async def _read_resources(client: Client, api_version: str, kind: str | None) -> list[Resource]:
    group, _, version = api_version.rpartition("/")
    return [
        Resource(group, version, str(each["name"]), str(each["kind"]), bool(each.get("namespaced")))
        for each in await client.read_resources(api_version)
        if "/" not in each["name"] and (kind is None or each["kind"] == kind) and "list" in each["verbs"]
    ]


async def _sweep(client: Client, resource: Resource, namespace: str | None, swept: Swept) -> None:
    try:
        found = await client.list_objects(resource, namespace, labels=marks.FAULT)
    except Refusal as refusal:
        if refusal.status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise
        swept.unread.append(f"{resource.plural} in {namespace or 'all namespaces'}")
        return
    expired: Sequence[Target] = [
        Target.of(resource, each)
        for each in found
        if (mark := marks.read_mark(each)) is not None and changes.is_expired(mark, client)
    ]
    results, failures = await changes.for_each(expired, lambda target: changes.remove_expired(client, target))
    swept.removed += [str(target) for target, was_there in results.items() if was_there]
    swept.failed += [str(failure) for failure in failures.values()]


def require_swept(swept: Swept) -> None:
    """Raises StepFailed if something past its time is left."""
    if swept.failed:
        raise StepFailed("; ".join(swept.failed))
