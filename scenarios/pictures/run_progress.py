"""How far a run is: the phases of its plan, those that are over, the present one, and those to come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import RunState
from scenarios.domain.plan import Phase, find_service
from scenarios.domain.templates import format_scalar
from scenarios.drivers.documents import read_document
from scenarios.engine.preflight import list_placed_steps
from scenarios.models import Run
from scenarios.pictures.plan_timeline import compute_max_length
from scenarios.runs.executor import find_fitting_plan
from scenarios.runs.history import RunHistory

# Phases that only look usually end much earlier than they may, so they are drawn no longer than this.
LOOKING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """`hold` is the least time in seconds, `most` the time that it may take."""

    name: str
    hold: float
    most: float

    @property
    def expected(self) -> float:
        return self.hold or min(self.most, LOOKING_SECONDS)

    @property
    def length_in_words(self) -> str:
        if not self.most:
            return "at once"
        least, most = format_duration(self.hold), format_duration(self.most)
        if self.hold == self.most:
            return most
        return f"{least} to {most}" if self.hold else f"up to {most}"


@dataclass(frozen=True, slots=True)
class Outline:
    """What the plan says of phases; `labels` are the names of everything that a picture has a row for.

    `defaults` has the variables that nobody gave a value. `has_loads`: the plan sends some.
    `services` has the service that each step names, by its place, as "action 'x' of phase 'y'".
    """

    phases: Sequence[PlannedPhase] = ()
    labels: Sequence[str] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    has_loads: bool = False
    services: Mapping[str, str] = field(default_factory=dict)


NOTHING = Outline()


def read_outline(run: Run) -> Outline:
    """From the run's own document; without phases if it no longer fits what is installed."""
    return _read_outline(run.pk, run.attempt)


# A run's document never changes, and its page is asked for each second while it goes on.
@lru_cache(maxsize=64)
def _read_outline(key: UUID, _attempt: int) -> Outline:
    run = Run.objects.get(pk=key)
    plan = find_fitting_plan(run)
    if plan is None:
        return NOTHING
    phases = [_plan_phase(phase) for phase in plan.phases]
    labels = [load.name for load in plan.loads]
    for phase in plan.phases:
        labels += [action.name for action in phase.actions]
        labels += [validation.name for validation in phase.validations]
        labels += [validation.name for validation in phase.load_validations]
    services = {
        placed.place: service
        for placed in list_placed_steps(plan)
        if (service := find_service(placed.step)) is not None
    }
    return Outline(phases, labels, _list_defaults(run), bool(plan.loads), services)


def _list_defaults(run: Run) -> dict[str, str]:
    variables = read_document(run.document, run.included or {}).variables
    return {
        name: format_scalar(variable.default)
        for name, variable in variables.items()
        if name not in run.variables and not variable.is_required
    }


def _plan_phase(phase: Phase) -> PlannedPhase:
    return PlannedPhase(phase.name, phase.hold, compute_max_length(phase))


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """`state` is `done`, `present`, `upcoming` or, after the end, `left out`. `seconds` are its length so far
    or, of a phase to come, the expected one.
    """

    name: str
    state: str
    length: str
    seconds: float
    began: datetime | None = None
    planned: PlannedPhase | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """`seconds` is the time from the run's beginning to its end or, while it goes on, to the expected one."""

    phases: Sequence[PhaseProgress] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def present(self) -> PhaseProgress | None:
        return next((phase for phase in self.phases if phase.state == "present"), None)

    @property
    def next_names(self) -> list[str]:
        return [phase.name for phase in self.phases if phase.state == "upcoming"]


def find_progress(history: RunHistory, outline: Outline) -> Progress:
    goes_on = history.run.state != RunState.FINISHED
    phases = list(_list_phases(history, outline, goes_on=goes_on))
    if history.run.state != RunState.RUNNING:
        return Progress(phases, history.offset(None))
    present = next((phase for phase in phases if phase.state == "present"), None)
    rest = sum(phase.seconds for phase in phases if phase.state == "upcoming")
    if present is not None and present.planned is not None:
        rest += max(0.0, present.planned.expected - present.seconds)
    return Progress(phases, history.offset(None) + rest)


def _list_phases(history: RunHistory, outline: Outline, *, goes_on: bool) -> Iterator[PhaseProgress]:
    planned = {phase.name: phase for phase in outline.phases}
    for begun in history.phases:
        seconds = max(0.0, ((begun.ended or history.ends) - begun.began).total_seconds())
        is_present = goes_on and begun.ended is None and begun is history.phases[-1]
        yield PhaseProgress(
            begun.name,
            "present" if is_present else "done",
            format_duration(round(seconds, 1)),
            seconds,
            begun.began,
            planned.get(begun.name),
        )
    for phase in _list_others(history, outline, goes_on=goes_on):
        state = "upcoming" if goes_on else "left out"
        yield PhaseProgress(phase.name, state, phase.length_in_words, phase.expected, None, phase)


def _list_others(history: RunHistory, outline: Outline, *, goes_on: bool) -> Sequence[PlannedPhase]:
    """Those after the last one that has begun, or, of an ended run, those that never began."""
    begun = [phase.name for phase in history.phases]
    if not goes_on:
        return [phase for phase in outline.phases if phase.name not in begun]
    names = [phase.name for phase in outline.phases]
    last = names.index(begun[-1]) if begun and begun[-1] in names else -1
    return outline.phases[last + 1 :]
