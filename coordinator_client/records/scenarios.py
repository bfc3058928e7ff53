"""Scenarios, their versions, plans and imports."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coordinator_client.records.record import Record
from coordinator_client.records.runs import LastRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Record):
    """`document` is empty in lists; `last_run` is the newest run, None if it has never run."""

    name: str
    title: str
    description: str
    tags: Sequence[str]
    changed_at: datetime | None = None
    changed_by: str | None = None
    created_at: datetime | None = None
    last_run: LastRun | None = None
    document: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion(Record):
    """How far the watchdog is with a scenario, schedule or webhook that had many runs or deliveries.

    `left` of `total` rows still refer to it. `kind` is one of scenario, schedule and webhook.

    `waiting_for` says what keeps the deletion from going on, or is empty.
    """

    kind: str
    name: str
    requested_at: datetime
    requested_by: str
    total: int
    left: int
    waiting_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Record):
    """`version` counts from 1; `current`: it is the one that is stored now; `change`: `created`, `changed` or
    `deleted`, or "" from an older coordinator.
    """

    version: int
    at: datetime
    by: str | None
    current: bool
    change: str = ""
    document: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Record):
    """What an import does to one scenario or suite: `new`, `changed`, `unchanged` or `removed`."""

    name: str
    change: str
    before: str | None = None
    subject: str = "scenario"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut(Record):
    """A part of a Chaos Toolkit experiment that has no equivalent in a scenario, and its place there."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation(Record):
    """The scenario made from a Chaos Toolkit experiment, which is neither validated nor stored."""

    document: str
    left_out: Sequence[LeftOut] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep(Record):
    """`role` is load, guard, fault, do, undo, undone or probe; `arguments` is YAML."""

    phase: str
    name: str
    role: str
    driver: str
    arguments: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun(Record):
    """`refusals` would end a run before it injects anything; nothing listens at the `unreachable` targets.

    `targets`: where the faults of fault drivers would be.
    """

    name: str = ""
    steps: Sequence[PlannedStep] = ()
    refusals: Sequence[str] = ()
    unreachable: Sequence[str] = ()
    warnings: Sequence[str] = ()
    targets: Sequence[str] = ()
