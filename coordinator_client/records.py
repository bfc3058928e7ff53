"""What a coordinator stores, under the names of its API. Times are aware, durations in seconds.

Every record has `raw`, the JSON object as the server sent it, with fields that this version does not know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

OUTCOMES = ("passed", "failed", "errored", "aborted", "timed_out", "interrupted")
STATES = ("awaiting_approval", "queued", "running", "finished")
UNBEGUN = ("awaiting_approval", "queued")
# After the end of a run, its faults in these states must still be undone.
STATES_TO_UNDO = ("injecting", "active", "outstanding")
REPORT_FORMATS = ("html", "json", "junit", "md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Record):
    """`status` is the outcome of a run that has ended, else its state; `rollback` is None until then."""

    id: str
    scenario: str
    status: str
    rollback: str | None
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_by: str | None
    origin: str
    variables: Mapping[str, Any]
    attempt: int
    waiting_for: str
    stopping: bool
    last_event: int
    url: str
    duration: float | None = None
    priority: int = 0

    @property
    def short_id(self) -> str:
        return self.id[:8]

    @property
    def has_ended(self) -> bool:
        return self.status in OUTCOMES

    @property
    def has_begun(self) -> bool:
        return self.status not in UNBEGUN

    @property
    def passed(self) -> bool:
        """Whether it has passed and left nothing injected."""
        return self.status == "passed" and self.rollback != "dirty"

    @property
    def verdict(self) -> str:
        """For a person: the status and, unless it is clean, the rollback."""
        if not self.has_ended or self.rollback == "clean":
            return self.status
        return f"{self.status}, rollback {self.rollback}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Record):
    """`sequence` counts a run's events from 1 without a gap; `step` is the step's name."""

    sequence: int
    at: datetime
    kind: str
    phase: str
    step: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Record):
    """`status` is the state in words; `target` is the place of a fault driver's fault, in words."""

    id: int
    run: str
    scenario: str
    phase: str
    action: str
    driver: str
    service: str
    state: str
    reason: str
    undo_tries: int
    outstanding: bool
    opened_at: datetime
    acknowledged_by: str
    status: str = ""
    host: str = ""
    address: str = ""
    target: str = ""
    injected_at: datetime | None = None
    closed_at: datetime | None = None
    next_try_at: datetime | None = None
    late_until: datetime | None = None
    url: str = ""
    standing: str = ""
    """The earlier name of `status`, which goes with the next release."""

    def __post_init__(self) -> None:
        if not self.status:
            object.__setattr__(self, "status", self.standing or self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Record):
    """`document` is empty in lists."""

    name: str
    title: str
    description: str
    tags: Sequence[str]
    changed_at: datetime | None = None
    changed_by: str | None = None
    document: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Record):
    """`version` counts from 1; `current`: the document is the stored one."""

    version: int
    at: datetime
    by: str | None
    current: bool
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

    steps: Sequence[PlannedStep] = ()
    refusals: Sequence[str] = ()
    unreachable: Sequence[str] = ()
    warnings: Sequence[str] = ()
    targets: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Record):
    """`held_by` is the id of a run, or None."""

    name: str
    base_url: str
    description: str
    protected: bool
    health_path: str = ""
    health_status: int | None = None
    proxy: str = ""
    proxy_listener: str = ""
    proxy_secret: str = ""
    held_by: str | None = None
    touched_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Record):
    """`address` is empty for the machine of the worker itself."""

    name: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    protected: bool = False
    held_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Record):
    """One part of a check of a service or host; `sentence` says how it is."""

    subject: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Record):
    """`next_at` is None while it is paused."""

    name: str
    scenario: str
    cron: str
    time_zone: str
    paused: bool
    next_at: datetime | None
    changed_by: str | None
    variables: Mapping[str, Any] = field(default_factory=dict)
    in_words: str = ""
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Record):
    """Belongs to a run or to a schedule; the other field is None. `steps` is empty in lists."""

    id: int
    state: str
    run: str | None
    schedule: str | None
    scenario: str
    services: Sequence[str]
    asked_by: str
    asked_at: datetime
    expires_at: datetime | None
    decided_by: str
    reason: str
    url: str = ""
    problem: str = ""
    steps: Sequence[PlannedStep] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Record):
    """`secret` is there only where it has just been made."""

    id: int
    name: str
    kind: str = "webhook"
    url: str
    key: str = ""
    events: Sequence[str]
    tags: Sequence[str]
    enabled: bool
    disabled_because: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Record):
    """A token without its secret; `beginning` are its first characters."""

    id: int
    name: str
    beginning: str
    scopes: Sequence[str]
    state: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Record):
    """Who asks; `token` is None on the coordinator's own machine."""

    user: str
    permissions: Sequence[str]
    token: Token | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalStop(Record):
    pulled: bool
    pulled_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSuite(Record):
    """`state` is the gravest of its cells; `counts` has the number of cells by state."""

    name: str
    title: str
    service: str
    state: str
    counts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell(Record):
    """`run` is the run that proves the state; `obstacle` says why the fault cannot be injected."""

    dependency: str
    fault: str
    must: str
    state: str
    reason: str
    obstacle: str
    run: str | None
    proved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteMatrix(Record):
    """`words` says in which state the suite is; `badge` is the path of its badge."""

    suite: str
    title: str
    service: str
    state: str
    words: str
    counts: Mapping[str, Any]
    badge: str
    cells: Sequence[MatrixCell]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedCell(Record):
    """A cell of one run of a suite; `waiting_for` is what its run waits for."""

    dependency: str
    fault: str
    state: str
    reason: str
    run: str | None
    waiting_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun(Record):
    """`status` is `running`, or the outcome; `cells` is empty in lists."""

    id: str
    suite: str
    status: str
    reason: str
    created_at: datetime
    finished_at: datetime | None
    created_by: str | None
    origin: str
    stopping: bool
    cells: Sequence[TriedCell] = ()

    @property
    def has_ended(self) -> bool:
        return self.status != "running"
