"""What every object that a fault made or changed carries: whose it is, until when, and what undoes it.

So any process that finds such an object past its time can undo it, without the ledger and
without the process that injected it: see sweeping.py. Times are by the clock of the API server.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from scenarios.domain.errors import StepImpossible

PREFIX = "test-coordinator"
FAULT = f"{PREFIX}/fault"
UNTIL = f"{PREFIX}/until"
UNDO = f"{PREFIX}/undo"
DELETE = "delete"
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
Operation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A field at a JSON Pointer: what it is `during` the fault, and what it was; () where it is absent.

    `made` is the pointer of what was missing around it, and was added with it; "" where nothing was.
    """

    path: str
    during: tuple[Any, ...]
    before: tuple[Any, ...]
    made: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """`changes` is None if the fault made the object."""

    fault: str
    until: datetime | None
    changes: tuple[Change, ...] | None


def build_label(fault_id: str) -> str:
    """The id as the value of a label."""
    return fault_id if _LABEL_VALUE.fullmatch(fault_id) else sha256(fault_id.encode()).hexdigest()[:40]


def read_mark(found: Mapping[str, Any]) -> Mark | None:
    """The mark of the object; None where no fault has it."""
    metadata = found.get("metadata") or {}
    fault = (metadata.get("labels") or {}).get(FAULT)
    if not fault:
        return None
    annotations = metadata.get("annotations") or {}
    undo = annotations.get(UNDO) or ""
    return Mark(fault, _parse_time(annotations.get(UNTIL)), None if undo == DELETE else _parse_changes(undo))


def is_marked(found: Mapping[str, Any] | None, fault_id: str) -> bool:
    mark = read_mark(found) if found is not None else None
    return mark is not None and mark.fault == build_label(fault_id)


def compute_until(now: datetime, lease: float) -> str:
    return (now + timedelta(seconds=lease)).strftime("%Y-%m-%dT%H:%M:%SZ")


def build_metadata(name: str, fault_id: str, until: str) -> dict[str, Any]:
    """The metadata of an object that a fault makes."""
    return {
        "name": name,
        "labels": {FAULT: build_label(fault_id)},
        "annotations": {UNTIL: until, UNDO: DELETE},
    }


def build_change(found: Mapping[str, Any], path: str, value: tuple[Any, ...]) -> Change:
    """The change that gives the field this value; () removes it.

    Raises:
        StepImpossible: the object has no place for the field.
    """
    if path.startswith("/metadata/"):
        return Change(path, value, find_values(found, path))  # the marks themselves add what is missing
    parts = _split(path)
    owner: Any = found
    for depth, part in enumerate(parts[:-1]):
        following = _look_up(owner, part, path)
        if not following:
            if not value:
                return Change(path, (), ())
            return Change(path, value, (), "/".join(path.split("/")[: depth + 2]))
        owner = following[0]
    return Change(path, value, _look_up(owner, parts[-1], path))


def _look_up(owner: Any, part: str, path: str) -> tuple[Any, ...]:
    """The value in a list, or an empty one where it is absent."""
    if isinstance(owner, dict):
        return (owner[part],) if part in owner else ()
    if isinstance(owner, list) and part.isdecimal() and int(part) < len(owner):
        return (owner[int(part)],)
    raise StepImpossible(f"{path!r} leads nowhere in the object: at {part!r} there is {type(owner).__name__}")


def find_values(found: Mapping[str, Any], path: str) -> tuple[Any, ...]:
    """The value of the field in a list, or an empty one where it is absent."""
    owner: Any = found
    for part in _split(path):
        try:
            following = _look_up(owner, part, path)
        except StepImpossible:
            return ()
        if not following:
            return ()
        owner = following[0]
    return (owner,)


def build_injection(
    found: Mapping[str, Any], fault_id: str, until: str, changes: Sequence[Change]
) -> list[Operation]:
    """The JSON Patch that marks and changes the object, if it is still as it was `found`."""
    written = json.dumps([[change.path, change.during, change.before, change.made] for change in changes])
    metadata = found["metadata"]
    operations: list[Operation] = [_require_version(metadata)]
    for word, entries in (
        ("labels", {FAULT: build_label(fault_id)}),
        ("annotations", {UNTIL: until, UNDO: written}),
    ):
        if not metadata.get(word):
            operations.append({"op": "add", "path": f"/metadata/{word}", "value": entries})
            continue
        operations += [
            {"op": "add", "path": f"/metadata/{word}/{_escape(name)}", "value": value}
            for name, value in entries.items()
        ]
    return [*operations, *build_operations(changes)]


def build_operations(changes: Sequence[Change]) -> list[Operation]:
    """The JSON Patch of the changes alone; nothing for a field that has the value already."""
    return [_inject(change) for change in changes if change.during != change.before]


def build_removal(found: Mapping[str, Any], mark: Mark) -> list[Operation]:
    """The JSON Patch that takes the mark away, and each field back that is still as the fault made it."""
    metadata = found["metadata"]
    operations: list[Operation] = [_require_version(metadata)]
    for word, names in (("labels", (FAULT,)), ("annotations", (UNTIL, UNDO))):
        present = metadata.get(word) or {}
        operations += [
            {"op": "remove", "path": f"/metadata/{word}/{_escape(name)}"} for name in names if name in present
        ]
    for change in mark.changes or ():
        now = find_values(found, change.path)
        if now != change.during or now == change.before:
            continue
        if change.made and find_values(found, change.made) == (_wrap(change),):
            operations.append({"op": "remove", "path": change.made})
        else:
            operations.append(_write(change.path, change.before, change.during))
    return operations


def _inject(change: Change) -> Operation:
    if change.made:
        return {"op": "add", "path": change.made, "value": _wrap(change)}
    return _write(change.path, change.during, change.before)


def _wrap(change: Change) -> Any:
    """The field with what was missing around it."""
    whole = change.during[0]
    for part in reversed(_split(change.path)[len(_split(change.made)) :]):
        whole = {part: whole}
    return whole


def _split(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def build_renewal(fault_id: str, until: str, changes: Sequence[Change]) -> list[Operation]:
    """The JSON Patch that keeps the fault, if the object still has it."""
    return [
        {"op": "test", "path": f"/metadata/labels/{_escape(FAULT)}", "value": build_label(fault_id)},
        *(
            {"op": "test", "path": change.path, "value": change.during[0]}
            for change in changes
            if change.during
        ),
        {"op": "replace", "path": f"/metadata/annotations/{_escape(UNTIL)}", "value": until},
    ]


def find_reverted(found: Mapping[str, Any], mark: Mark) -> Iterator[Change]:
    """The changes that somebody else has undone or replaced."""
    yield from (change for change in mark.changes or () if find_values(found, change.path) != change.during)


def _require_version(metadata: Mapping[str, Any]) -> Operation:
    # The server answers 409 where the object has another one by then.
    return {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}


def _write(path: str, wanted: tuple[Any, ...], present: tuple[Any, ...]) -> Operation:
    if not wanted:
        return {"op": "remove", "path": path}
    return {"op": "replace" if present else "add", "path": path, "value": wanted[0]}


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _parse_time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _parse_changes(text: str) -> tuple[Change, ...]:
    try:
        return tuple(
            Change(str(path), tuple(during), tuple(before), str(made))
            for path, during, before, made in json.loads(text)
        )
    except (ValueError, TypeError, RecursionError):
        return ()
