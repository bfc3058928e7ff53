"""Charts of what the probes of validations saw: how long answers took, or the number that is compared."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from django.utils.safestring import SafeString

from scenarios.charts.kept import Chart, Series
from scenarios.domain.event_kinds import Topic
from scenarios.domain.looks import Look
from scenarios.domain.units import Unit
from scenarios.models import Run
from scenarios.pictures.chart import Judged, Scene, draw_chart
from scenarios.pictures.quantities import quantity
from scenarios.pictures.run_charts import build_scene
from scenarios.published.looks import ValidationLooks, read_looks
from scenarios.runs.history import RunHistory, StepHistory

# A single look is no curve.
MIN_LOOKS = 2
MAX_CHARTS = 40
# More points than a chart has pixels cannot be told apart.
MAX_POINTS = 320
# Looks over a smaller part of the run are shown alone, with as much before and after them.
SMALL_PART = 1 / 6
MIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """The looks before, during or after the faults: how many, how many of them held, and their numbers."""

    name: str
    looks: int
    held: int
    middle: str
    highest: str

    @property
    def share(self) -> str:
        # Rounded down: 99.96% is not all.
        return f"{math.floor(self.held / self.looks * 1000) / 10:g}%"


@dataclass(frozen=True, slots=True)
class LookView:
    """`what` says what is drawn: the time that answers took, or the field that is compared. `step` is the
    number of the validation among the run's steps, and `trace_url` a page that shows the validation's trace.
    """

    name: str
    phase: str
    about: str
    what: str
    verdict: str
    picture: SafeString
    parts: Sequence[Part]
    step: int | None = None
    trace_url: str = ""


@dataclass(frozen=True, slots=True)
class LookViews:
    """`left_out` is the number of validations beyond the limit."""

    drawn: Sequence[LookView]
    left_out: int = 0

    def __bool__(self) -> bool:
        return bool(self.drawn)


def build_look_views(history: RunHistory, looks: Sequence[ValidationLooks] | None = None) -> LookViews:
    """Of the run's looks, which are read unless they are given."""
    read = read_looks(history.run) if looks is None else looks
    all_looks = [watched_looks for watched_looks in read if len(watched_looks.looks) >= MIN_LOOKS]
    if not all_looks:
        return LookViews(())
    scene = build_scene(history, history.ends)
    steps = {(step.phase, step.name): step for step in history.validations}
    views = [
        _build_view(
            watched_looks,
            scene,
            steps.get((watched_looks.watched.phase, watched_looks.watched.validation)),
            history.run,
        )
        for watched_looks in all_looks[:MAX_CHARTS]
    ]
    return LookViews(views, len(all_looks) - len(views))


def _build_view(kept: ValidationLooks, scene: Scene, step: StepHistory | None, run: Run) -> LookView:
    watched = kept.watched
    is_value = any(look.value is not None for look in kept.looks)
    unit = Unit.NUMBER if is_value else Unit.SECONDS
    numbers = [look.value if is_value else look.elapsed for look in kept.looks]
    drawn = list(reduce_points([(look.at, number) for look, number in zip(kept.looks, numbers, strict=True)]))
    chart = Chart(
        title=watched.validation,
        about=watched.about,
        query="",
        unit=unit,
        moments=[at for at, _number in drawn],
        series=[Series(values=[number for _at, number in drawn])],
    )
    parts = list(_summarise(kept.looks, numbers, scene, unit))
    what = watched.compared if is_value else "response time"
    own = _choose_range(kept.looks, scene)
    judged = [Judged(step.name, step.verdict, step.ended.timestamp())] if step and step.ended else []
    own = replace(own, judged=judged, misses=list(find_misses(kept.looks)))
    words = f"{watched.validation}, {what} of {watched.about}. {' '.join(map(_describe, parts))}"
    verdict = step.verdict if step else "not judged"
    picture = draw_chart(chart, own, words)
    number = step.number if step else None
    return LookView(
        watched.validation,
        watched.phase,
        watched.about,
        what,
        verdict,
        picture,
        parts,
        number,
        run.find_trace_url(Topic.VALIDATION, watched.phase, watched.validation),
    )


def reduce_points(points: Sequence[tuple[float, float | None]]) -> Iterator[tuple[float, float | None]]:
    """Moments and numbers; of many, the lowest and the highest of each group of neighbours."""
    size = -(-len(points) // MAX_POINTS) * 2 if len(points) > MAX_POINTS else 1
    for begin in range(0, len(points), size):
        group = points[begin : begin + size]
        known = [(number, at) for at, number in group if number is not None]
        if len(known) < len(group) or not known:
            yield group[0][0], None
        for number, at in sorted({min(known), max(known)}, key=lambda pair: pair[1]) if known else ():
            yield at, number


def _choose_range(looks: Sequence[Look], scene: Scene) -> Scene:
    """The whole run, or the time around the looks if that is a small part of it."""
    first, last = looks[0].at, max(looks[-1].at + looks[-1].elapsed, looks[0].at + MIN_SECONDS)
    left, right = scene.began, max(scene.ends, last)
    if last - first < (right - left) * SMALL_PART:
        left, right = max(left, first - (last - first)), min(right, last + (last - first))
    return replace(scene, left=left, right=right, around=(left, right))


def find_misses(looks: Sequence[Look]) -> Iterator[tuple[float, float]]:
    """The times in which it did not hold, each until the next look that held."""
    begin: float | None = None
    for look in looks:
        if not look.holds and begin is None:
            begin = look.at
        elif look.holds and begin is not None:
            yield begin, look.at
            begin = None
    if begin is not None:
        yield begin, looks[-1].at + looks[-1].elapsed


def _summarise(
    looks: Sequence[Look], numbers: Sequence[float | None], scene: Scene, unit: Unit
) -> Iterator[Part]:
    moments = [look.at for look in looks]
    first = min((fault.begins for fault in scene.faults), default=math.inf)
    last = max((math.inf if fault.ends is None else fault.ends for fault in scene.faults), default=math.inf)
    edges = (0, bisect_left(moments, first), bisect_left(moments, last), len(looks))
    names = ("before the first fault", "with faults", "after the last fault")
    for name, begin, end in zip(
        names if scene.faults else ("whole run", "", ""), edges, edges[1:], strict=False
    ):
        if begin == end:
            continue
        known = [number for number in numbers[begin:end] if number is not None]
        held = sum(look.holds for look in looks[begin:end])
        middle, highest = (quantity(pick(known), unit) if known else "-" for pick in (median, max))
        yield Part(name, end - begin, held, middle, highest)


def _describe(part: Part) -> str:
    return (
        f"{part.name}: {part.held} of {part.looks} looks held, median {part.middle}, highest {part.highest}."
    )
