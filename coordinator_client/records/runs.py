"""Runs, their events and their faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator_client.records.record import Record

OUTCOMES = ("passed", "failed", "errored", "aborted", "timed_out", "interrupted")
STATES = ("awaiting_approval", "queued", "running", "finished")
ROLLBACKS = ("clean", "unverified", "dirty")
UNBEGUN = ("awaiting_approval", "queued")
# After the end of a run, its faults in these states must still be undone.
STATES_TO_UNDO = ("injecting", "active", "outstanding")
EVENT_KINDS = (
    "approval_asked",
    "run_approved",
    "run_started",
    "run_taken_over",
    "run_queued_again",
    "run_finished",
    "phase_started",
    "phase_finished",
    "action_started",
    "action_retried",
    "action_finished",
    "action_failed",
    "validation_started",
    "validation_holding",
    "validation_not_holding",
    "validation_passed",
    "validation_failed",
    "validation_errored",
    "guard_tripped",
    "load_measured",
    "load_finished",
    "fault_injecting",
    "fault_injected",
    "fault_lost",
    "fault_not_injected",
    "fault_undone",
    "fault_unverified",
    "fault_watched",
    "fault_undo_failed",
    "fault_waiting_for_host",
    "fault_acknowledged",
    "rollback_started",
)
REPORT_FORMATS = ("html", "json", "junit", "md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Record):
    """`status` is the outcome of a run that has ended, else its state; `rollback` is None until then.

    The last five fields are those of one run: in lists they have their defaults. Times are in seconds.
    """

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
    variables: Mapping[str, Any] = field(hash=False)
    attempt: int
    waiting_for: str
    stopping: bool
    last_event: int
    url: str
    duration: float | None = None
    priority: int = 0
    environment: str = ""
    title: str = ""
    time_to_detect: float | None = None
    time_to_recover: float | None = None
    approval: int | None = None
    comparison: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    load: Sequence[Mapping[str, Any]] = field(default=(), hash=False)

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
        return describe_verdict(self.status, self.rollback)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun(Record):
    """The newest run of a scenario, with fields of a `Run`."""

    id: str
    status: str
    rollback: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str = ""

    @property
    def verdict(self) -> str:
        return describe_verdict(self.status, self.rollback)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun(LastRun):
    """A run in a comparison."""

    scenario: str
    reason: str
    environment: str
    duration: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure(Record):
    """Seconds, or for `error_rate` a share from 0 to 1; None of a run that does not have the figure."""

    figure: str
    phase: str
    validation: str
    load: str
    value: float | None
    other: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison(Record):
    """`variables` has those that differ, each with its value as `value` and `other`.

    `document` has the lines of a unified diff, from the document of the other run to that of this run.
    """

    run: ComparedRun
    other: ComparedRun
    variables: Mapping[str, Any] = field(hash=False)
    document: Sequence[str]
    figures: Sequence[ComparedFigure]


def describe_verdict(status: str, rollback: str | None) -> str:
    """For a person: the status and, unless it is clean, the rollback."""
    if status not in OUTCOMES or rollback == "clean":
        return status
    return f"{status}, rollback {rollback}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Record):
    """`sequence` counts a run's events from 1 without a gap; `step` is the step's name."""

    sequence: int
    at: datetime
    kind: str
    phase: str
    step: str
    data: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent(Event):
    """An event of any run. A reader who has seen it continues behind its `position`."""

    run: str
    scenario: str
    position: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Record):
    """`status` is the state in words; `target` is the place of a fault driver's fault, in words.

    A fault with a lease (of `lease_seconds`) ends by itself at `expires_at` if nobody renews it.
    """

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
    fault_id: str = ""
    lease_seconds: float = 0.0
    expires_at: datetime | None = None
    standing: str = ""
    """The earlier name of `status`, which goes with the next release."""

    def __post_init__(self) -> None:
        if not self.status:
            object.__setattr__(self, "status", self.standing or self.state)
