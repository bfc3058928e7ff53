"""What happened in a run, as the spans of one trace: the run, its phases, steps, looks, loads and faults."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from scenarios.domain.event_kinds import STEP_OUTCOMES, EventKind, Topic, parse_kind
from scenarios.domain.looks import Look, LookSeries
from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.domain.trace_context import build_span_id, format_moment
from scenarios.models import Event, Fault, Run
from scenarios.published.looks import ValidationLooks
from scenarios.published.records import page_url

MAX_LOOKS_PER_VALIDATION = 500
MAX_ATTRIBUTE = 1000
_BEGINNINGS = {EventKind.PHASE_STARTED, EventKind.ACTION_STARTED, EventKind.VALIDATION_STARTED}
_ENDS = {EventKind.PHASE_FINISHED, *STEP_OUTCOMES}
# After these, nothing that was under way goes on.
_BREAKS = {EventKind.RUN_TAKEN_OVER, EventKind.RUN_QUEUED_AGAIN, EventKind.RUN_FINISHED}
_ROOT = ("run",)
_DESCRIBED = ("driver", "reason", "attempts", "time_to_pass", "requests", "error_rate", "rate", "p95", "max")

Attribute = str | bool | int | float
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened at one moment of a span."""

    name: str
    at: datetime
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(slots=True)
class Span:
    """`failure` is a sentence; "" if what the span is about went as it should."""

    span_id: str
    parent_id: str
    name: str
    began_at: datetime
    ended_at: datetime
    attributes: dict[str, Attribute]
    failure: str = ""
    notes: list[Note] = field(default_factory=list)


class _Steps:
    """Builds the spans of phases, actions and validations while it reads the run's events in their order."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._attempt = 1
        self._open: dict[Path, Span] = {}
        self.finished: list[Span] = []
        self.notes: list[Note] = []  # of the run itself
        # The paths of the spans, by phase and name; each attempt has its own.
        self.validations: dict[tuple[str, str], list[tuple[Path, Span]]] = {}

    def read(self, event: Event) -> None:
        kind = parse_kind(event.kind)
        if kind is None:
            return
        if kind is EventKind.RUN_STARTED:
            self._attempt = int(event.detail.get("attempt", self._attempt))
        if kind in _BREAKS:
            self._break_off(event.at)
        path = self._find_path(kind, event)
        if kind in _BEGINNINGS:
            self._begin(path, kind, event)
        elif kind in _ENDS and path in self._open:
            self._finish(path, kind, event)
        elif kind is EventKind.LOAD_FINISHED and event.detail.get("began_at"):
            self.finished.append(self._build_load_span(path, event))
        else:
            notes = self._open[path].notes if path in self._open else self.notes
            notes.append(Note(kind.value, event.at, _describe(event)))

    def _find_path(self, kind: EventKind, event: Event) -> Path:
        names = (event.phase, event.subject) if event.subject else (event.phase,)
        return (str(self._attempt), kind.topic.value, *names)

    def _begin(self, path: Path, kind: EventKind, event: Event) -> None:
        parent = _ROOT if kind.topic is Topic.PHASE else (str(self._attempt), "phase", event.phase)
        span = Span(
            span_id=build_span_id(self._run.id, *path),
            parent_id=build_span_id(self._run.id, *parent),
            name=f"{kind.topic} {event.subject or event.phase}",
            began_at=event.at,
            ended_at=event.at,
            attributes=_describe(event),
        )
        self._open[path] = span
        if kind.topic is Topic.VALIDATION:
            self.validations.setdefault((event.phase, event.subject), []).append((path, span))

    def _finish(self, path: Path, kind: EventKind, event: Event) -> None:
        span = self._open.pop(path)
        span.ended_at = max(event.at, span.began_at)
        span.attributes |= _describe(event)
        if STEP_OUTCOMES.get(kind, "passed") != "passed":
            span.failure = str(event.detail.get("reason", "")) or kind.description
        self.finished.append(span)

    def _build_load_span(self, path: Path, event: Event) -> Span:
        """Of the time in which it was sent; each of its requests has a trace of its own."""
        began_at = datetime.fromisoformat(event.detail["began_at"])
        return Span(
            span_id=build_span_id(self._run.id, *path),
            parent_id=build_span_id(self._run.id, *_ROOT),
            name=f"load {event.subject}",
            began_at=began_at,
            ended_at=max(event.at, began_at),
            attributes=_describe(event),
        )

    def _break_off(self, at: datetime) -> None:
        for span in self._open.values():
            span.ended_at = max(at, span.began_at)
            span.failure = "it did not come to its end"
            self.finished.append(span)
        self._open.clear()


def build_spans(
    run: Run, events: Iterable[Event], faults: Iterable[Fault], looks: Sequence[ValidationLooks]
) -> Iterator[Span]:
    """The spans of a run that has ended, its own first. They contain no variables and no answers."""
    steps = _Steps(run)
    for event in events:
        steps.read(event)
    yield _build_root(run, steps.notes)
    yield from steps.finished
    yield from (_build_fault_span(run, fault) for fault in faults if fault.state != FaultState.NOT_INJECTED)
    for of_validation in looks:
        watched = of_validation.watched
        spans = steps.validations.get((watched.phase, watched.validation), [])
        yield from _build_look_spans(run.id, spans, of_validation)


def _build_root(run: Run, notes: list[Note]) -> Span:
    ended_at = run.finished_at or run.queued_at
    failed = run.outcome != Outcome.PASSED or run.rollback == Rollback.DIRTY
    return Span(
        span_id=build_span_id(run.id, *_ROOT),
        parent_id="",
        name=f"run {run.scenario_name}",
        began_at=min(run.claimed_at or run.queued_at, ended_at),
        ended_at=ended_at,
        attributes={
            "coordinator.run.id": str(run.id),
            "coordinator.scenario": run.scenario_name,
            "coordinator.run.outcome": run.outcome,
            "coordinator.run.rollback": run.rollback,
            "coordinator.run.attempts": run.attempt,
            "url.full": page_url(run),
        },
        failure=(run.reason or run.verdict) if failed else "",
        notes=notes,
    )


def _build_fault_span(run: Run, fault: Fault) -> Span:
    began_at = fault.injected_at or fault.opened_at
    is_gone = fault.state in {FaultState.UNDONE, FaultState.ACKNOWLEDGED}
    ended_at = fault.closed_at or run.finished_at or began_at
    return Span(
        span_id=build_span_id(run.id, "fault", str(fault.order)),
        parent_id=build_span_id(run.id, *_ROOT),
        name=f"fault {fault.action}",
        began_at=began_at,
        ended_at=max(ended_at, began_at),
        attributes={
            "coordinator.phase": fault.phase,
            "coordinator.action": fault.action,
            "coordinator.service": fault.service,
            "coordinator.fault.id": fault.fault_id,
            "coordinator.fault.target": fault.target,
            "coordinator.fault.state": fault.state,
        },
        failure="" if is_gone else (fault.reason or f"it is {fault.state}"),
    )


def _build_look_spans(
    run_id: UUID, validations: Sequence[tuple[Path, Span]], found: ValidationLooks
) -> Iterator[Span]:
    """Each look belongs to the last of these that began before it: the looks are those of all attempts."""
    thinned = LookSeries(MAX_LOOKS_PER_VALIDATION)
    for look in found.looks:
        thinned.add(look)
    for look in thinned.looks:
        # Looks are stored in whole milliseconds, and may seem to begin before their validation.
        latest = datetime.fromtimestamp(look.at + 0.001, UTC)
        if begun := [(path, span) for path, span in validations if span.began_at <= latest]:
            path, parent = begun[-1]
            yield _build_look_span(run_id, path, parent, found.watched.about, look)


def _build_look_span(run_id: UUID, path: Path, parent: Span, about: str, look: Look) -> Span:
    began_at = datetime.fromtimestamp(look.at, UTC)
    value: dict[str, Attribute] = {} if look.value is None else {"coordinator.look.value": look.value}
    return Span(
        span_id=build_span_id(run_id, *path, "look", format_moment(look.at)),
        parent_id=parent.span_id,
        name=f"look at {about}",
        began_at=began_at,
        ended_at=began_at + timedelta(seconds=look.elapsed),
        attributes={"coordinator.look.holds": look.holds, **value},
        failure="" if look.holds else "it did not hold",
    )


def _describe(event: Event) -> dict[str, Attribute]:
    """The event's own sentences and numbers; never what a target answered."""
    names = {"coordinator.phase": event.phase, "coordinator.step": event.subject}
    found: dict[str, Attribute] = {name: text for name, text in names.items() if text}
    for name in _DESCRIBED:
        value = event.detail.get(name)
        if isinstance(value, str | int | float) and value != "":
            found[f"coordinator.{name}"] = value[:MAX_ATTRIBUTE] if isinstance(value, str) else value
    return found
