"""The charts of a run for a page or a report, each with its picture, legend and numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.safestring import SafeString

from scenarios.charts.kept import Chart, Charts, Series
from scenarios.charts.window import AROUND, close_around
from scenarios.domain.outcomes import STATES_TO_UNDO, RunState
from scenarios.models import Run, RunCharts
from scenarios.pictures.chart import Fault, Judged, Scene, draw_chart
from scenarios.pictures.quantities import quantity
from scenarios.runs.history import RunHistory


@dataclass(frozen=True, slots=True)
class Range:
    """The lowest and highest value within a time; None without samples."""

    text: str = ""
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A series: its number in the picture, and its values `before` the first fault (or before a run without
    faults), from then on `during` the run, and `after` it.
    """

    number: int
    name: str
    before: Range
    during: Range
    after: Range
    note: str = ""


@dataclass(frozen=True, slots=True)
class View:
    chart: Chart
    picture: SafeString
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Views:
    """The views that are `drawn`; `without` says why the others, by name, have nothing to draw.

    `complete`: nothing new can come.
    """

    drawn: Sequence[View]
    without: Mapping[str, Sequence[str]]
    left_out: Sequence[str]
    read_at: datetime | None
    complete: bool
    version: int
    turning: str

    def __bool__(self) -> bool:
        return bool(self.drawn or self.without)


NONE = Views((), {}, (), None, complete=True, version=0, turning="")


def build_views(run: Run, history: RunHistory) -> Views:
    row = RunCharts.objects.filter(run=run).first()
    if row is None:
        return NONE  # a run from before charts were stored
    kept = Charts.model_validate(row.content)
    scene = build_scene(history, row.read_at or history.ends)
    return Views(
        [_view(chart, scene) for chart in kept.charts if chart.has_samples],
        _without(kept),
        kept.left_out,
        row.read_at,
        row.due_at is None,
        row.version,
        "the first fault" if scene.faults else "the run",
    )


def _without(kept: Charts) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for chart in kept.charts:
        if not chart.has_samples:
            why = chart.problem or "Prometheus has no samples of it in this time"
            names.setdefault(why, []).append(f"{chart.title} ({chart.about})")
    return names


def build_scene(history: RunHistory, read_at: datetime) -> Scene:
    goes_on = history.run.state != RunState.FINISHED
    left, right = close_around(
        history.began, history.ends, goes_on=goes_on, scrape=settings.PROMETHEUS_SCRAPE_SECONDS
    )
    return Scene(
        history.began.timestamp(),
        history.ends.timestamp(),
        goes_on,
        left,
        right,
        (
            (history.began - AROUND).timestamp(),
            (history.ends if goes_on else history.ends + AROUND).timestamp(),
        ),
        [
            Fault(
                fault.action,
                fault.injected_at.timestamp(),
                None
                if fault.state in STATES_TO_UNDO or fault.closed_at is None
                else fault.closed_at.timestamp(),
            )
            for fault in history.faults
            if fault.injected_at
        ],
        [
            Judged(step.name, step.verdict, step.ended.timestamp())
            for step in history.steps
            if step.kind != "action" and step.ended is not None
        ],
        known_until=max(history.ends, read_at).timestamp(),
    )


def _view(chart: Chart, scene: Scene) -> View:
    rows = [_row(number, series, chart, scene) for number, series in enumerate(chart.series, 1)]
    return View(chart, draw_chart(chart, scene, _words(chart, rows)), rows)


def _row(number: int, series: Series, chart: Chart, scene: Scene) -> Row:
    turn = min((fault.begins for fault in scene.faults), default=scene.began)
    times = ((-math.inf, turn), (turn, scene.ends), (scene.ends, math.inf))
    before, during, after = (_range(chart, series, *time) for time in times)
    infinite = any(value in {"+Inf", "-Inf"} for value in series.values)
    return Row(number, series.name, before, during, after, "infinite at times" if infinite else "")


def _range(chart: Chart, series: Series, begin: float, end: float) -> Range:
    numbers = list(chart.numbers(series, begin, end))
    if not numbers:
        return Range()
    lowest, highest = quantity(min(numbers), chart.unit), quantity(max(numbers), chart.unit)
    text = lowest if lowest == highest else f"{lowest} to {highest}"
    return Range(text, min(numbers), max(numbers))


def _words(chart: Chart, rows: Sequence[Row]) -> str:
    return f"{chart.title}, {chart.about}. {' '.join(_sentences(rows))}"


def _sentences(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        times = (("before", row.before), ("during", row.during), ("after", row.after))
        summary = ", ".join(f"{word} {time.text}" for word, time in times if time.text)
        yield f"{row.name}: {summary}." if row.name else f"{summary}."
