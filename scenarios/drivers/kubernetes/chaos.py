"""Objects of Chaos Mesh and Litmus, whose operators end them by themselves.

Neither lets anybody change the duration of an object, so a fault that goes on is renewed by another object,
before the earlier one is deleted. https://github.com/chaos-mesh/chaos-mesh/issues/2227
"""

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from scenarios.domain.errors import FaultGone, StepImpossible
from scenarios.drivers.kubernetes import changes, marks
from scenarios.drivers.kubernetes.arguments import CHAOS_GROUPS, ChaosObject
from scenarios.drivers.kubernetes.changes import Target
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.refusals import Refusal
from scenarios.drivers.kubernetes.resources import Resource
from scenarios.drivers.kubernetes.transport import Object

# A shorter one would be replaced so often that the operators do little else.
MIN_SECONDS = 60.0
LITMUS_KIND = "ChaosEngine"
_DURATION = "TOTAL_CHAOS_DURATION"
_TITLES = dict(zip(CHAOS_GROUPS, ("Chaos Mesh", "Litmus"), strict=True))


async def find_resource(client: Client, wanted: ChaosObject) -> Resource:
    """Where the API has such objects.

    Raises:
        StepImpossible: it is not installed, or is not a fault that ends by itself.
    """
    group, _, version = wanted.api_version.partition("/")
    title = _TITLES[group]
    is_fault = wanted.kind.endswith("Chaos") if group == CHAOS_GROUPS[0] else wanted.kind == LITMUS_KIND
    if not is_fault:
        raise StepImpossible(f"{wanted.kind!r} is not a fault of {title} that has a duration")
    for found in await client.read_resources(wanted.api_version):
        if found.get("kind") == wanted.kind and "/" not in str(found.get("name")):
            return Resource(group, version, str(found["name"]), wanted.kind, bool(found.get("namespaced")))
    raise StepImpossible(f"{client.name} has no {wanted.kind} of {wanted.api_version}: install {title} there")


def build_spec(wanted: ChaosObject, namespace: str, seconds: float) -> dict[str, Any]:
    """The spec with its duration, and with the namespace of the fault where it names none.

    Raises:
        StepImpossible: it would break another namespace, which the run neither holds nor was approved for.
    """
    spec: dict[str, Any] = copy.deepcopy(wanted.spec)
    for others in _list_namespaces(spec, namespace):
        if strange := sorted(others - {namespace}):
            raise StepImpossible(
                f"the 'spec' selects in namespace {strange[0]!r}, and the fault is one of {namespace!r}: "
                "write a fault for each"
            )
    if wanted.kind != LITMUS_KIND:
        spec["duration"] = f"{round(seconds)}s"
        return spec
    try:
        for experiment in spec["experiments"]:
            components = experiment.setdefault("spec", {}).setdefault("components", {})
            kept = [each for each in components.get("env") or () if each["name"] != _DURATION]
            components["env"] = [*kept, {"name": _DURATION, "value": str(round(seconds))}]
    except (KeyError, TypeError, AttributeError) as error:
        raise StepImpossible(
            "the 'spec' of a ChaosEngine has no list of 'experiments' with a 'name'"
        ) from error
    return spec


def _list_namespaces(part: Any, namespace: str) -> Iterator[set[str]]:
    """The namespaces of each selector; where one names none, the fault's is put in."""
    if isinstance(part, list):
        for inner in part:
            yield from _list_namespaces(inner, namespace)
        return
    if not isinstance(part, dict):
        return
    for word, inner in part.items():
        if word == "selector" and isinstance(inner, dict):
            inner.setdefault("namespaces", [namespace])
            yield {str(each) for each in inner["namespaces"]} | set(inner.get("pods") or ())
        elif word == "appinfo" and isinstance(inner, dict):
            inner.setdefault("appns", namespace)
            yield {str(inner["appns"])}
        yield from _list_namespaces(inner, namespace)


def compute_seconds(lease: float) -> float:
    """How long one object lasts by itself."""
    return max(lease, MIN_SECONDS)


async def inject(client: Client, wanted: ChaosObject, target: Target, fault_id: str, lease: float) -> str:
    """The name of the object of the fault, which is made unless it is there."""
    made = await list_made(client, target, fault_id)
    return str(made[0]["metadata"]["name"]) if made else await make(client, wanted, target, fault_id, lease)


async def make(client: Client, wanted: ChaosObject, target: Target, fault_id: str, lease: float) -> str:
    """Make the first object, or the next; its name."""
    namespace = target.namespace or ""
    for number in range(1000):
        name = f"{target.name}-{number}"
        until = marks.compute_until(client.now(), lease)
        content = {
            "apiVersion": wanted.api_version,
            "kind": wanted.kind,
            "metadata": marks.build_metadata(name, fault_id, until),
            "spec": build_spec(wanted, namespace, compute_seconds(lease)),
        }
        try:
            await client.create(target.resource, target.namespace, content)
        except Refusal as refusal:
            if not refusal.is_conflict:
                raise
            continue
        return name
    raise StepImpossible(f"{target} has been renewed a thousand times")


async def list_made(client: Client, target: Target, fault_id: str) -> list[Object]:
    """The objects of the fault, the newest first."""
    label = f"{marks.FAULT}={marks.build_label(fault_id)}"
    found = await client.list_objects(target.resource, target.namespace, labels=label)
    return sorted(found, key=_created, reverse=True)


async def renew(client: Client, wanted: ChaosObject, target: Target, fault_id: str, lease: float) -> None:
    """Keep the fault, by another object if more than half of the newest one's time is over."""
    made = await list_made(client, target, fault_id)
    lasting = [found for found in made if not found["metadata"].get("deletionTimestamp")]
    if not lasting:
        raise FaultGone(f"{target} does not have the fault any more: its object was deleted")
    newest, *earlier = lasting
    if (client.now() - _created(newest)).total_seconds() >= compute_seconds(lease) / 2:
        await make(client, wanted, target, fault_id, lease)
        earlier = lasting
    else:
        await changes.renew(client, Target.of(target.resource, newest), fault_id, lease, ())
    for found in earlier:
        old = Target.of(target.resource, found)
        await client.delete(target.resource, target.namespace, old.name, uid=old.uid)


async def remove(client: Client, target: Target, fault_id: str) -> bool:
    made = await list_made(client, target, fault_id)
    for found in made:
        await client.delete(target.resource, target.namespace, str(found["metadata"]["name"]))
    return bool(made)


def _created(found: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(found["metadata"]["creationTimestamp"]))
