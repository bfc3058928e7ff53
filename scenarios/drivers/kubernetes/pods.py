"""Deletes and evicts pods. Their controllers replace them, so that nothing is left to undo."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone
from scenarios.drivers.kubernetes.changes import Target, for_each, join
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.refusals import Refusal
from scenarios.drivers.kubernetes.resources import PODS
from scenarios.drivers.kubernetes.selection import list_names
from scenarios.drivers.kubernetes.transport import Object

# Where a disruption budget says no and not for how long.
BUDGET_REST_SECONDS = 1.0
_MIRROR = "kubernetes.io/config.mirror"
_CONTROLLED_BY_NODE = "DaemonSet"


def find_controller(pod: Object) -> str:
    """The kind of what replaces the pod; "" where nothing does."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["kind"]) for owner in owners if owner.get("controller")), "")


def require_controllers(pods: Sequence[Object]) -> None:
    """Raises StepImpossible if one would never come back."""
    bare = [pod for pod in pods if not find_controller(pod)]
    if bare:
        raise StepImpossible(
            f"no controller would replace {list_names(bare)}: only pods of a Deployment, StatefulSet, "
            "DaemonSet or Job come back; choose others"
        )


async def list_evicted(client: Client, node: str) -> list[Target]:
    """The pods that a drain of the node evicts.

    Raises:
        StepImpossible: one of them would never come back.
    """
    pods = await client.list_objects(PODS, None, fields=f"spec.nodeName={node}")
    moved = [pod for pod in pods if _is_moved(pod)]
    require_controllers(moved)
    return [Target.of(PODS, pod) for pod in moved]


def _is_moved(pod: Object) -> bool:
    metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
    if metadata.get("deletionTimestamp") or phase in {"Succeeded", "Failed"}:
        return False
    return find_controller(pod) != _CONTROLLED_BY_NODE and _MIRROR not in (metadata.get("annotations") or {})


async def delete(client: Client, pods: Sequence[Target], grace: float | None) -> list[str]:
    """The names of the pods that were deleted.

    Raises:
        StepNotDone: none was.
        StepFailed: not all were.
    """

    async def delete_one(pod: Target) -> bool:
        return await client.delete(PODS, pod.namespace, pod.name, uid=pod.uid, grace=grace)

    results, failures = await for_each(pods, delete_one)
    return _report("deleted", [pod for pod, was_there in results.items() if was_there], failures, len(pods))


async def evict(client: Client, pods: Sequence[Target], grace: float | None) -> list[str]:
    """As `delete`, where disruption budgets allow it within the time of the client."""
    if not pods:
        return []
    version = await _find_eviction_version(client)

    async def evict_one(pod: Target) -> bool:
        return await _evict(client, pod, version, grace)

    results, failures = await for_each(pods, evict_one)
    return _report("evicted", [pod for pod, was_there in results.items() if was_there], failures, len(pods))


def _report(
    done_word: str, done: Sequence[Target], failures: dict[Target, StepFailed], asked: int
) -> list[str]:
    names = sorted(pod.name for pod in done)
    if failures and (done or any(not isinstance(error, StepNotDone) for error in failures.values())):
        raise StepFailed(f"{join(failures)}; {len(done)} of {asked} pods were {done_word}")
    if failures:
        after = max(error.retry_after for error in failures.values())
        raise StepNotDone(join(failures), retry_after=after)
    if asked and not done:
        raise StepNotDone(f"all {asked} pods were deleted by others meanwhile")
    return names


async def _find_eviction_version(client: Client) -> str:
    """`policy/v1` since Kubernetes 1.22."""
    for resource in await client.read_resources("v1"):
        if resource.get("name") == "pods/eviction":
            return f"{resource.get('group') or 'policy'}/{resource.get('version') or 'v1'}"
    raise StepImpossible(f"{client.name} cannot evict pods")


def build_eviction(pod: Target, version: str, grace: float | None) -> Object:
    """`version` is the apiVersion of evictions; `grace` is in seconds."""
    options: Object = {"preconditions": {"uid": pod.uid}} if pod.uid else {}
    if grace is not None:
        options["gracePeriodSeconds"] = round(grace)
    return {
        "apiVersion": version,
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": options,
    }


async def _evict(client: Client, pod: Target, version: str, grace: float | None) -> bool:
    content = build_eviction(pod, version, grace)
    while True:
        try:
            await client.create(PODS, pod.namespace, content, of=pod.name, subresource="eviction")
        except Refusal as refusal:
            if refusal.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return False
            rest = refusal.retry_after or BUDGET_REST_SECONDS
            if refusal.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            if rest >= client.left:
                raise StepNotDone(
                    f"{pod} cannot be evicted now, because a disruption budget forbids it: {refusal}",
                    retry_after=rest,
                ) from refusal
            await asyncio.sleep(rest)
        else:
            return True
