"""Changes objects of a cluster for as long as a fault lasts, and undoes them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from typing import Any, Self, TypeVar

from scenarios.domain.errors import FaultGone, StepFailed, StepNotDone
from scenarios.drivers.kubernetes import marks
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.marks import Change
from scenarios.drivers.kubernetes.refusals import Refusal
from scenarios.drivers.kubernetes.resources import Resource
from scenarios.drivers.kubernetes.transport import Object

T = TypeVar("T")
MAX_TRIES = 5
_FAILED_TEST = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT})


@dataclass(frozen=True, slots=True)
class Target:
    """An object that has a fault, or will have it."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str

    @classmethod
    def of(cls, resource: Resource, found: Object) -> Self:
        metadata = found["metadata"]
        return cls(resource, metadata.get("namespace"), metadata["name"], str(metadata.get("uid") or ""))

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        resource = Resource(
            written["group"], written["version"], written["plural"], written["kind"], written["is_namespaced"]
        )
        return cls(resource, written["namespace"], written["name"], written["uid"])

    def as_json(self) -> dict[str, Any]:
        return {
            "group": self.resource.group,
            "version": self.resource.version,
            "plural": self.resource.plural,
            "kind": self.resource.kind,
            "is_namespaced": self.resource.is_namespaced,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }

    def __str__(self) -> str:
        where = f" in namespace {self.namespace!r}" if self.namespace else ""
        return f"{self.resource.kind} {self.name!r}{where}"


async def change(
    client: Client,
    target: Target,
    fault_id: str,
    lease: float,
    build: Callable[[Object], Sequence[Change]],
) -> Sequence[Change]:
    """Mark and change the object, unless it already has the fault.

    Raises:
        StepNotDone: it is gone, another fault has it, or somebody keeps changing it.
        StepFailed: the server did not answer.
    """
    for _ in range(MAX_TRIES):
        found = await client.get(target.resource, target.namespace, target.name)
        if found is None or (target.uid and found["metadata"].get("uid") != target.uid):
            raise StepNotDone(f"{target} was deleted meanwhile")
        if (mark := marks.read_mark(found)) is not None:
            if mark.fault == marks.build_label(fault_id):
                return mark.changes or ()
            until = mark.until.isoformat() if mark.until else "nobody knows when"
            raise StepNotDone(
                f"{target} has the fault {mark.fault!r} already, until {until}: undo that one first, or let "
                "'manage.py sweep_clusters' undo it once its time is over"
            )
        changes = build(found)
        until = marks.compute_until(client.now(), lease)
        operations = marks.build_injection(found, fault_id, until, changes)
        try:
            await client.patch(target.resource, target.namespace, target.name, operations)
        except Refusal as refusal:
            if refusal.is_conflict:
                continue
            if refusal.status == HTTPStatus.NOT_FOUND:
                raise StepNotDone(f"{target} was deleted meanwhile") from refusal
            raise
        return changes
    raise StepNotDone(
        f"{target} was changed by others {MAX_TRIES} times in a row while the fault was injected"
    )


async def renew(
    client: Client, target: Target, fault_id: str, lease: float, changes: Sequence[Change]
) -> None:
    """Keep the fault of an object for another lease.

    Raises:
        FaultGone: the object is gone, or somebody has undone the fault or replaced the field.
    """
    operations = marks.build_renewal(fault_id, marks.compute_until(client.now(), lease), changes)
    try:
        await client.patch(target.resource, target.namespace, target.name, operations)
    except Refusal as refusal:
        if refusal.status == HTTPStatus.NOT_FOUND:
            raise FaultGone(f"{target} was deleted") from refusal
        if refusal.status not in _FAILED_TEST:
            raise
        found = await client.get(target.resource, target.namespace, target.name)
        raise FaultGone(_explain_loss(target, found, fault_id)) from refusal


def _explain_loss(target: Target, found: Object | None, fault_id: str) -> str:
    mark = marks.read_mark(found) if found is not None else None
    if found is None or mark is None or mark.fault != marks.build_label(fault_id):
        return f"{target} does not have the fault any more: it was removed, or the object was replaced"
    reverted = ", ".join(repr(each.path) for each in marks.find_reverted(found, mark)) or "its marks"
    return f"{target} does not have the fault any more: somebody has changed {reverted}"


async def remove_from(client: Client, target: Target, fault_id: str = "") -> bool:
    """Remove the fault of an object; returns False if the object or its fault is gone.

    With `fault_id`, only that fault. Changes that others have made meanwhile stay.
    """
    for _ in range(MAX_TRIES):
        found = await client.get(target.resource, target.namespace, target.name)
        mark = marks.read_mark(found) if found is not None else None
        if found is None or mark is None or (fault_id and mark.fault != marks.build_label(fault_id)):
            return False
        if mark.changes is None:
            uid = str(found["metadata"]["uid"])
            return await client.delete(target.resource, target.namespace, target.name, uid=uid)
        try:
            operations = marks.build_removal(found, mark)
            await client.patch(target.resource, target.namespace, target.name, operations)
        except Refusal as refusal:
            if refusal.is_conflict:
                continue
            if refusal.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True
    raise StepFailed(f"{target} was changed by others {MAX_TRIES} times in a row while its fault was removed")


async def remove_expired(client: Client, target: Target) -> bool:
    """As `remove_from`, if the time of the fault is over."""
    found = await client.get(target.resource, target.namespace, target.name)
    mark = marks.read_mark(found) if found is not None else None
    if mark is None or not is_expired(mark, client):
        return False
    return await remove_from(client, target, mark.fault)


def is_expired(mark: marks.Mark, client: Client) -> bool:
    """Whether its time is over, or cannot be read."""
    return mark.until is None or mark.until.astimezone(UTC) <= client.now()


async def is_present(client: Client, target: Target, fault_id: str) -> bool:
    return marks.is_marked(await client.get(target.resource, target.namespace, target.name), fault_id)


async def for_each(
    targets: Sequence[Target], call: Callable[[Target], Coroutine[Any, Any, T]]
) -> tuple[dict[Target, T], dict[Target, StepFailed]]:
    """The results and the failures, by target."""
    outcomes = await asyncio.gather(*map(call, targets), return_exceptions=True)
    results: dict[Target, T] = {}
    failures: dict[Target, StepFailed] = {}
    for target, outcome in zip(targets, outcomes, strict=True):
        if isinstance(outcome, StepFailed):
            failures[target] = outcome
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            results[target] = outcome
    return results, failures


async def for_each_or_none(
    client: Client,
    targets: Sequence[Target],
    fault_id: str,
    call: Callable[[Target], Coroutine[Any, Any, T]],
) -> dict[Target, T]:
    """The results; if one fails, the fault is removed from all others.

    Raises:
        StepNotDone: no object has the fault.
        StepFailed: one may have it.
    """
    results, failures = await for_each(targets, call)
    if not failures:
        return results
    unsure = [target for target, error in failures.items() if not isinstance(error, StepNotDone)]
    _, left = await for_each([*results, *unsure], lambda target: remove_from(client, target, fault_id))
    sentence = join(failures)
    if left:
        raise StepFailed(f"{sentence}; it could not be removed again: {join(left)}")
    again = f"; it was removed from {len(results)} others" if results else ""
    if unsure:
        raise StepFailed(sentence + again)
    if len(failures) == 1 and not again:
        raise next(iter(failures.values()))
    raise StepNotDone(sentence + again)


def join(failures: Mapping[Target, StepFailed]) -> str:
    """The sentences of the first failures."""
    sentences = list(dict.fromkeys(map(str, failures.values())))
    more = f"; and {len(sentences) - 3} more" if len(sentences) > 3 else ""  # noqa: PLR2004
    return "; ".join(sentences[:3]) + more


def raise_failures(failures: Mapping[Target, StepFailed]) -> None:
    """Raise the least certain failure, with the sentences of all."""
    if not failures:
        return
    is_not_done = all(isinstance(error, StepNotDone) for error in failures.values())
    raise StepNotDone(join(failures)) if is_not_done else StepFailed(join(failures))
