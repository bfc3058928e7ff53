"""What happened in a run: its phases, steps and faults, read from its events and the ledger.

The run page and every report read it here, so that they cannot differ.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.utils import timezone

from scenarios.domain.event_kinds import STEP_OUTCOMES, EventKind, StepOutcome, Topic, parse_kind
from scenarios.domain.outcomes import STATES_TO_UNDO, FaultState, RunState
from scenarios.models import Event, Fault, Run

StepVerdict = Literal["running", "not judged", StepOutcome]
# Events that say why or how long. The others are many, and what they carry is long: it is left in the
# database until someone opens the step.
TELLING = (
    EventKind.RUN_STARTED,
    EventKind.PHASE_STARTED,
    EventKind.ACTION_FAILED,
    EventKind.VALIDATION_PASSED,
    EventKind.VALIDATION_FAILED,
    EventKind.VALIDATION_ERRORED,
    EventKind.GUARD_TRIPPED,
)
STEP_TOPICS = (Topic.ACTION, Topic.VALIDATION, Topic.GUARD)
MAX_CHANGES = 100


@dataclass(slots=True)
class PhaseHistory:
    name: str
    began: datetime
    ended: datetime | None = None


@dataclass(slots=True)
class StepHistory:
    """An action, a validation, or a guard that tripped. `changes`: when a validation's result changed."""

    number: int
    kind: Topic
    phase: str
    name: str
    began: datetime
    ended: datetime | None = None
    verdict: StepVerdict = "running"
    reason: str = ""
    attempts: int | None = None
    time_to_pass: float | None = None
    last_event: int = 0
    changes: list[tuple[datetime, bool]] = field(default_factory=list)
    fault: Fault | None = None

    @property
    def is_fault(self) -> bool:
        return self.fault is not None


@dataclass(slots=True)
class RunHistory:
    """`ends` is the run's end, or now while it goes on. `has_loads`: some of its events are about loads.

    `worker` is the process that has carried out the present attempt, or does so, and `was_taken_over` says
    that another one had to undo its faults. "" before the attempt has begun.
    """

    run: Run
    began: datetime
    ends: datetime
    phases: list[PhaseHistory]
    steps: list[StepHistory]
    faults: list[Fault]
    has_loads: bool = False
    worker: str = ""
    was_taken_over: bool = False

    @property
    def validations(self) -> list[StepHistory]:
        return [step for step in self.steps if step.kind == "validation"]

    @property
    def still_injected(self) -> list[Fault]:
        """Those that are not undone, and may have been injected; of a running run they are no surprise."""
        return [fault for fault in self.faults if fault.state in STATES_TO_UNDO]

    @property
    def unverified(self) -> list[Fault]:
        """Those that were undone, but whose injection may still arrive."""
        return [fault for fault in self.faults if fault.state == FaultState.UNVERIFIED]

    @property
    def acknowledged(self) -> list[Fault]:
        """Those that a person has closed without an undo."""
        return [fault for fault in self.faults if fault.state == FaultState.ACKNOWLEDGED]

    @property
    def time_to_detect(self) -> float | None:
        """Seconds until the first validation in a phase with a fault began to hold after it did not."""
        found = [
            step.time_to_pass
            for step in self.validations
            if step.time_to_pass and any(fault.phase == step.phase for fault in self.injected)
        ]
        return min(found, default=None)

    @property
    def time_to_recover(self) -> float | None:
        """Seconds from the last undo until the last later validation began to hold."""
        undone = [fault.closed_at for fault in self.injected if fault.closed_at]
        if not undone or self.still_injected:
            return None
        last = max(undone)
        held = [
            (step.began - last).total_seconds() + step.time_to_pass
            for step in self.validations
            if step.time_to_pass is not None and step.began >= last
        ]
        return max(held, default=None)

    @property
    def injected(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.injected_at]

    def offset(self, moment: datetime | None) -> float:
        """Seconds since the run began."""
        return max(0.0, ((moment or self.ends) - self.began).total_seconds())


def read_history(run: Run, *, last_event: int | None = None) -> RunHistory:
    """All that happened; only up to this event, if one is given."""
    events = Event.objects.filter(run=run).order_by("sequence")
    if last_event is not None:
        events = events.filter(sequence__lte=last_event)
    details: dict[int, Mapping[str, Any]] = {
        row["sequence"]: row
        for row in events.filter(kind__in=TELLING).values(
            "sequence", "detail__reason", "detail__attempts", "detail__time_to_pass", "detail__worker"
        )
    }
    rows = events.values_list("sequence", "kind", "at", "phase", "subject")
    faults = list(Fault.objects.filter(run=run).order_by("order"))
    for fault in faults:
        fault.run = run
    reader = _Reader({(fault.phase, fault.action): fault for fault in faults}, details)
    first = reader.read(rows)
    began = run.claimed_at or first or run.queued_at
    finished = run.state == RunState.FINISHED
    if finished:
        reader.close()
    ends = run.finished_at if finished and run.finished_at else timezone.now()
    return RunHistory(
        run,
        began,
        max(began, ends),
        reader.phases,
        list(reader.steps.values()),
        faults,
        reader.has_loads,
        reader.worker,
        reader.was_taken_over,
    )


class _Reader:
    def __init__(
        self, faults: dict[tuple[str, str], Fault], details: Mapping[int, Mapping[str, Any]]
    ) -> None:
        self.phases: list[PhaseHistory] = []
        self.steps: dict[tuple[Topic, str, str], StepHistory] = {}
        self.has_loads = False
        self.worker = ""
        self.was_taken_over = False
        self._faults = faults
        self._details = details

    def read(self, rows: Iterable[tuple[int, str, datetime, str, str]]) -> datetime | None:
        """The first event's moment."""
        first = None
        for sequence, kind, at, phase, subject in rows:
            first = first or at
            known = parse_kind(kind)
            if known is EventKind.PHASE_STARTED:
                self.phases.append(PhaseHistory(phase, at))
            elif known is EventKind.PHASE_FINISHED and self.phases:
                self.phases[-1].ended = at
                self._close_steps(phase, at)
            elif known is not None and known.topic is Topic.LOAD:
                self.has_loads = True
            elif known is not None and known.topic is Topic.RUN:
                self._run(sequence, known, at)
            elif known is not None and known.topic in STEP_TOPICS:
                self._step(sequence, known, at, phase, subject)
        return first

    def _run(self, sequence: int, kind: EventKind, at: datetime) -> None:
        if kind is EventKind.RUN_QUEUED_AGAIN and self.phases and self.phases[-1].ended is None:
            self.phases[-1].ended = at
            self._close_steps(self.phases[-1].name, at)
        if kind in (EventKind.RUN_STARTED, EventKind.RUN_QUEUED_AGAIN):
            self.worker = self._details.get(sequence, {}).get("detail__worker") or ""
            self.was_taken_over = False
        elif kind is EventKind.RUN_TAKEN_OVER:
            self.was_taken_over = True

    def close(self) -> None:
        """The run has ended: what was not judged by then never will be."""
        for step in self.steps.values():
            if step.verdict == "running":
                step.verdict = "not judged"

    def _close_steps(self, phase: str, at: datetime) -> None:
        """The phase was cut short: what was not judged by then never will be."""
        for step in self.steps.values():
            if step.verdict == "running" and step.phase == phase:
                step.verdict, step.ended = "not judged", at

    def _step(self, sequence: int, kind: EventKind, at: datetime, phase: str, name: str) -> None:
        key = (kind.topic, phase, name)
        step = self.steps.get(key)
        if step is None:
            step = self.steps[key] = StepHistory(len(self.steps) + 1, kind.topic, phase, name, at)
            step.fault = self._faults.get((phase, name)) if kind.topic is Topic.ACTION else None
        step.last_event = sequence
        if kind in (EventKind.VALIDATION_HOLDING, EventKind.VALIDATION_NOT_HOLDING):
            if len(step.changes) < MAX_CHANGES:
                step.changes.append((at, kind is EventKind.VALIDATION_HOLDING))
        elif kind in STEP_OUTCOMES:
            step.ended, step.verdict = at, STEP_OUTCOMES[kind]
            detail = self._details.get(sequence, {})
            step.reason = detail.get("detail__reason") or ""
            step.attempts = detail.get("detail__attempts")
            step.time_to_pass = detail.get("detail__time_to_pass")
