"""A run as a timeline to scale: when faults were injected, and what was observed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import STATES_TO_UNDO, FaultState, RunState
from scenarios.models import Fault
from scenarios.pictures.svg import element
from scenarios.pictures.timeline import (
    LEFT,
    MIDDLE,
    RIGHT,
    Band,
    Row,
    compute_height,
    draw_timeline,
    mark,
    span,
)
from scenarios.runs.history import RunHistory, StepHistory

STEPS_OF_TIME = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400)
MAX_TICKS = 6


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a timeline shows, in seconds: `before` and `after` the moment `origin`."""

    origin: datetime
    before: float
    after: float


def run_timeline(history: RunHistory, shown: Span | None = None) -> SafeString:
    """The whole run, or its part in the span; times are then counted from the span's origin."""
    scale = _Scale(history, shown)
    bands = [
        Band(
            phase.name,
            format_duration(round(history.offset(phase.ended) - history.offset(phase.began), 1)),
            scale.at(phase.began),
            scale.at(phase.ended),
        )
        for phase in history.phases
    ]
    rows = [_row(step, scale) for step in history.steps]
    title = f"The run of {history.run.scenario_name} over {format_duration(round(scale.seconds, 1))}"
    return draw_timeline(title, bands, rows, *scale.ticks(len(rows)))


class _Scale:
    def __init__(self, history: RunHistory, shown: Span | None) -> None:
        self.history = history
        self.origin = shown.origin if shown else history.began
        self.before = shown.before if shown else 0.0
        self.seconds = max(shown.before + shown.after if shown else history.offset(history.ends), 0.1)
        self.is_aligned = shown is not None
        self.goes_on = history.run.state != RunState.FINISHED

    def at(self, moment: datetime | None) -> float:
        """Pixels; None is the end, or now."""
        since = ((moment or self.history.ends) - self.origin).total_seconds() + self.before
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, since / self.seconds))

    def ticks(self, rows: int) -> Iterator[SafeString]:
        step = next((s for s in STEPS_OF_TIME if self.seconds / s <= MAX_TICKS), self.seconds)
        height = compute_height(rows)
        for number in range(1 - int(self.before / step), int((self.seconds - self.before) / step) + 1):
            x = LEFT + (RIGHT - LEFT) * (number * step + self.before) / self.seconds
            yield element("line", class_="grid", x1=x, x2=x, y1=height - 18, y2=height - 12)
            label = f"{'-' if number < 0 else ''}{format_duration(abs(number) * step)}"
            yield element("text", label, class_="small", x=x, y=height - 2, text_anchor="end")
        if self.is_aligned:
            x = LEFT + (RIGHT - LEFT) * self.before / self.seconds
            yield element("line", class_="now", x1=x, x2=x, y1=0.0, y2=height - 18)
        if self.goes_on:
            yield element("line", class_="now", x1=RIGHT, x2=RIGHT, y1=0.0, y2=height - 18)


def _row(step: StepHistory, scale: _Scale) -> Row:
    if step.kind == "validation":
        return Row(step.name, list(_validation(step, scale)))
    if step.fault is not None:
        return Row(step.name, list(_fault(step, step.fault, scale)))
    verdict = {"passed": "action", "failed": "failed"}.get(step.verdict, "once")
    return Row(
        step.name, [mark(scale.at(step.began), verdict, f"{step.name}: {step.reason or step.verdict}")]
    )


def _fault(step: StepHistory, fault: Fault, scale: _Scale) -> Iterator[SafeString]:
    if fault.state == FaultState.NOT_INJECTED:
        yield mark(scale.at(step.began), "failed", f"{step.name}: nothing was injected: {fault.reason}")
        return
    left = fault.state in STATES_TO_UNDO
    title = f"fault: {step.name}, {fault.status}"
    kind = "fault left" if left and not scale.goes_on else "fault"
    yield span(
        scale.at(fault.injected_at or fault.opened_at),
        scale.at(None if left else fault.closed_at),
        kind,
        title,
    )


def _validation(step: StepHistory, scale: _Scale) -> Iterator[SafeString]:
    title = f"{step.name}: {step.reason or step.verdict}"
    kind = f"span {step.verdict}" if step.verdict != "not judged" else "span"
    yield span(scale.at(step.began), scale.at(step.ended), kind, title, thin=True)
    for at, holds in step.changes:
        verdict, seen = ("passed", "holds") if holds else ("failed", "does not hold")
        title = element("title", f"{step.name}: {seen}")
        yield element("circle", title, class_=f"mark {verdict}", cx=scale.at(at), cy=MIDDLE, r=2.5)
    if step.ended is not None:
        yield mark(min(scale.at(step.ended), RIGHT - 6), step.verdict, title)
