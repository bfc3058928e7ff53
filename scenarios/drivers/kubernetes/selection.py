"""Chooses the objects of a fault: by name, labels, fields, number, share and seed."""

from collections.abc import Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.drivers.host_arguments import count_picked
from scenarios.drivers.kubernetes.arguments import KubernetesFaultArguments
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.refusals import Refusal
from scenarios.drivers.kubernetes.resources import NAMESPACES, PODS, Resource
from scenarios.drivers.kubernetes.transport import Object

# Such a pod runs no more, so that nothing can be broken in it.
_ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
_MAX_LISTED = 10


async def select(client: Client, resource: Resource, arguments: KubernetesFaultArguments) -> list[Object]:
    """The objects that have the fault: the same for the same seed while no others are there.

    Raises:
        StepImpossible: there are none, too few for `pick`, or all that there are without `allow_all`.
    """
    namespace = arguments.namespace if resource.is_namespaced else None
    if arguments.name is not None:
        found = await client.get(resource, namespace, arguments.name)
        if found is None or not _is_alive(found):
            await require_namespace(client, namespace)
            raise StepImpossible(
                f"{client.name} has no {resource.kind} {arguments.name!r}{_in(namespace)} to break"
            )
        return [found]
    listed = await client.list_objects(
        resource, namespace, labels=format_labels(arguments.where), fields=_build_fields(resource, arguments)
    )
    alive = [found for found in listed if _is_alive(found)]
    if not alive:
        await require_namespace(client, namespace)
        raise StepImpossible(f"{client.name} has no {resource.kind} {_describe(arguments)}{_in(namespace)}")
    count = count_picked(arguments.pick, len(alive))
    if count > len(alive):
        raise StepImpossible(
            f"pick={count} is more than the {len(alive)} {resource.plural} {_describe(arguments)}"
            f"{_in(namespace)}"
        )
    chosen = sorted(alive, key=lambda found: _draw(arguments.seed, found))[:count]
    if not arguments.allow_all:
        await _refuse_all(client, resource, namespace, arguments, len(chosen))
    return sorted(chosen, key=lambda found: str(found["metadata"]["name"]))


def format_labels(labels: dict[str, str] | None) -> str:
    """As a label selector."""
    return ",".join(f"{name}={value}" for name, value in (labels or {}).items())


def format_fields(fields: dict[str, str] | None) -> str:
    """As a field selector."""
    return ",".join(f"{name}={value}" for name, value in (fields or {}).items())


def list_names(objects: Sequence[Object]) -> str:
    """The first names, for people."""
    names = [str(found["metadata"]["name"]) for found in objects]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


async def require_namespace(client: Client, namespace: str | None) -> None:
    """Raises StepImpossible if the namespace does not exist, or is being deleted."""
    if namespace is None:
        return
    try:
        found = await client.get(NAMESPACES, None, namespace)
    except Refusal as refusal:
        if refusal.status == HTTPStatus.FORBIDDEN:
            return  # it may be there
        raise
    if found is None:
        raise StepImpossible(f"{client.name} has no namespace {namespace!r}")
    if (found.get("status") or {}).get("phase") == "Terminating":
        raise StepImpossible(f"the namespace {namespace!r} is being deleted")


async def _refuse_all(
    client: Client,
    resource: Resource,
    namespace: str | None,
    arguments: KubernetesFaultArguments,
    chosen: int,
) -> None:
    is_selected = bool(arguments.where or arguments.fields)
    fields = _ALIVE if resource == PODS else ""
    # One more than the chosen ones tells that they are not all.
    total = len(await client.list_objects(resource, namespace, fields=fields, at_most=chosen + 1))
    if total > chosen or (total == 1 and is_selected):
        return
    raise StepImpossible(
        f"the fault would have all {chosen} {resource.plural}{_in(namespace)}: choose fewer by 'where', "
        "'fields' or 'pick', or say 'allow_all: true'"
    )


def _build_fields(resource: Resource, arguments: KubernetesFaultArguments) -> str:
    parts = [_ALIVE] if resource == PODS else []
    return ",".join(filter(None, [*parts, format_fields(arguments.fields)]))


def _is_alive(found: Object) -> bool:
    return not found["metadata"].get("deletionTimestamp")


def _draw(seed: int, found: Object) -> bytes:
    return sha256(f"{seed}/{found['metadata']['name']}".encode()).digest()


def _describe(arguments: KubernetesFaultArguments) -> str:
    chosen = ", ".join(filter(None, [format_labels(arguments.where), format_fields(arguments.fields)]))
    return f"with {chosen}" if chosen else "at all"


def _in(namespace: str | None) -> str:
    return f" in namespace {namespace!r}" if namespace is not None else ""


def get_uid(found: Any) -> str:
    return str(found["metadata"].get("uid") or "")
