"""A run as a timeline to scale: when faults were injected, and what was observed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import STATES_TO_UNDO, FaultState, RunState
from scenarios.models import Fault
from scenarios.pictures.run_progress import NOTHING, Outline, Progress, find_progress
from scenarios.pictures.svg import element
from scenarios.pictures.timeline import (
    LEFT,
    MIDDLE,
    RIGHT,
    Band,
    Row,
    build_frame,
    draw_timeline,
    mark,
    span,
)
from scenarios.runs.history import RunHistory, StepHistory

STEPS_OF_TIME = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400)
MAX_TICKS = 6
# A label that ends nearer to the left edge would lie on the names.
TICK_ROOM = 30.0


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a timeline shows, in seconds: `before` and `after` the moment `origin`."""

    origin: datetime
    before: float
    after: float


def run_timeline(
    history: RunHistory, shown: Span | None = None, *, outline: Outline | None = None
) -> SafeString:
    """The whole run, or its part in the span; times are then counted from the span's origin.

    With the `outline`, the phases to come are drawn, too, and the picture leaves the room that all names of
    the plan need.
    """
    progress = find_progress(history, outline or NOTHING)
    scale = Scale(history, shown, progress.seconds)
    rows = [row for step in history.steps if (row := _row(step, scale)) is not None]
    frame = build_frame(list(_bands(progress, scale)), rows, outline.labels if outline else ())
    title = f"The run of {history.run.scenario_name} over {format_duration(round(scale.seconds, 1))}"
    return draw_timeline(title, frame, *scale.ticks(frame.bottom), **scale.attributes)


def _bands(progress: Progress, scale: "Scale") -> Iterator[Band]:
    """One after another; phases to come as long as they are expected to be."""
    end = scale.history.began
    for phase in progress.phases:
        if phase.state == "left out":
            continue
        begin = phase.began or end
        seconds, note = phase.seconds, phase.length
        if phase.state == "present" and phase.planned is not None:
            seconds, note = max(seconds, phase.planned.expected), phase.planned.length_in_words
        end = begin + timedelta(seconds=seconds)
        if scale.shows(begin, end):
            yield Band(phase.name, note, scale.at(begin), scale.at(end), is_to_come=phase.state == "upcoming")


class Scale:
    """Where moments are, in pixels. `seconds` is the length of the run, or the expected one."""

    def __init__(self, history: RunHistory, shown: Span | None, seconds: float) -> None:
        self.history = history
        self.origin = shown.origin if shown else history.began
        self.before = shown.before if shown else 0.0
        self.seconds = max(shown.before + shown.after if shown else seconds, 0.1)
        self.is_aligned = shown is not None
        self.goes_on = history.run.state != RunState.FINISHED

    @property
    def attributes(self) -> dict[str, str]:
        """What a script needs to find moments in the picture, and to move its end while the run goes on."""
        begins = (self.origin - self.history.began).total_seconds() - self.before
        found = {"data_from": f"{begins:.3f}", "data_seconds": f"{self.seconds:.3f}"}
        return {**found, "data_began": self.history.began.isoformat()} if self.goes_on else found

    def find_offset(self, moment: datetime | None) -> float:
        """Seconds since the left edge; None is the end, or now."""
        return ((moment or self.history.ends) - self.origin).total_seconds() + self.before

    def at(self, moment: datetime | None) -> float:
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, self.find_offset(moment) / self.seconds))

    def shows(self, begin: datetime | None, end: datetime | None) -> bool:
        return self.find_offset(begin) <= self.seconds and self.find_offset(end) >= 0.0

    def ticks(self, bottom: float) -> Iterator[SafeString]:
        step = next((s for s in STEPS_OF_TIME if self.seconds / s <= MAX_TICKS), self.seconds)
        first = math.ceil(-self.before / step)
        for number in range(first if self.before else 1, int((self.seconds - self.before) / step) + 1):
            x = LEFT + (RIGHT - LEFT) * (number * step + self.before) / self.seconds
            yield element("line", class_="grid", x1=x, x2=x, y1=bottom + 4, y2=bottom + 10)
            label = f"{'-' if number < 0 else ''}{format_duration(abs(number) * step)}"
            anchor = "end" if x > LEFT + TICK_ROOM else "start"
            yield element("text", label, class_="small", x=x, y=bottom + 20, text_anchor=anchor)
        yield from self.draw_moments(bottom)

    def draw_moments(self, bottom: float) -> Iterator[SafeString]:
        """The origin of compared runs, and now."""
        if self.is_aligned and 0.0 < self.before < self.seconds:
            x = LEFT + (RIGHT - LEFT) * self.before / self.seconds
            yield element("line", class_="now", x1=x, x2=x, y1=0.0, y2=bottom + 4)
        if self.goes_on and self.shows(None, None):
            x = self.at(None)
            line = element("line", class_="now", x1=x, x2=x, y1=0.0, y2=bottom + 4)
            yield element("g", line, class_="moves", data_x=f"{x:.1f}")


def _row(step: StepHistory, scale: Scale) -> Row | None:
    """None for a step that does not lie in the span."""
    if not scale.shows(step.began, _find_end(step)):
        return None
    if step.kind == "validation":
        return Row(step.name, list(_validation(step, scale)))
    if step.fault is not None:
        return Row(step.name, list(_fault(step, step.fault, scale)))
    verdict = {"passed": "action", "failed": "failed"}.get(step.verdict, "once")
    return Row(
        step.name, [mark(scale.at(step.began), verdict, f"{step.name}: {step.reason or step.verdict}")]
    )


def _find_end(step: StepHistory) -> datetime | None:
    if step.fault is not None:
        return None if step.fault.state in STATES_TO_UNDO else step.fault.closed_at
    return step.ended


def _fault(step: StepHistory, fault: Fault, scale: Scale) -> Iterator[SafeString]:
    if fault.state == FaultState.NOT_INJECTED:
        yield mark(scale.at(step.began), "failed", f"{step.name}: nothing was injected: {fault.reason}")
        return
    left = fault.state in STATES_TO_UNDO
    title = f"fault: {step.name}, {fault.status}"
    kind = "fault"
    if left:
        kind = "fault active grows" if scale.goes_on else "fault left"
    yield span(
        scale.at(fault.injected_at or fault.opened_at),
        scale.at(None if left else fault.closed_at),
        kind,
        title,
    )


def _validation(step: StepHistory, scale: Scale) -> Iterator[SafeString]:
    title = f"{step.name}: {step.reason or step.verdict}"
    kind = f"span {step.verdict}" if step.verdict != "not judged" else "span"
    if step.ended is None and scale.goes_on:
        kind += " grows"
    yield span(scale.at(step.began), scale.at(step.ended), kind, title, thin=True)
    for at, holds in step.changes:
        if scale.shows(at, at):
            verdict, seen = ("passed", "holds") if holds else ("failed", "does not hold")
            words = element("title", f"{step.name}: {seen}")
            yield element("circle", words, class_=f"mark {verdict}", cx=scale.at(at), cy=MIDDLE, r=2.5)
    if step.ended is not None and scale.shows(step.ended, step.ended):
        yield mark(min(scale.at(step.ended), RIGHT - 6), step.verdict, title)
