"""The figures of successive runs, each run with its outcome, and where the scenario changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.utils.safestring import SafeString

from scenarios.domain.units import Unit
from scenarios.pictures.quantities import axis, quantity
from scenarios.pictures.svg import element, picture
from scenarios.pictures.timeline import MIDDLE, mark
from scenarios.pictures.words import duration
from scenarios.runs.figures import LOAD_FIGURES, FigureKey
from scenarios.runs.measured_runs import MeasuredRun

WIDTH, HEIGHT = 480.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 470.0, 24.0, 150.0
# The place of runs without a time to recover, and of the outcomes in a load's chart.
BELOW = 172.0
VERDICTS = {"passed": "passed", "failed": "failed", "errored": "errored"}
UNITS = {"p95": Unit.SECONDS, "error_rate": Unit.SHARE}
# Lines beyond this cannot be told apart.
MAX_LINES = 6
MAX_LOADS = 6
# A single run shows no change.
MIN_RUNS = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of each run; `number` is that of its style."""

    number: int
    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class LoadHistory:
    """A figure of a load: a line for each phase. `rows` are the runs, newest first, with a text by line."""

    title: str
    load: str
    lines: Sequence[Line]
    picture: SafeString
    rows: Sequence[tuple[MeasuredRun, Sequence[str]]]


def draw_run_history(runs: Sequence[MeasuredRun]) -> SafeString:
    values = [measured.time_to_recover for measured in runs]
    marks = axis(0.0, max((value for value in values if value is not None), default=0.0))
    return picture(
        WIDTH,
        HEIGHT,
        _describe(runs),
        *_draw_axis(marks, Unit.SECONDS, "none"),
        *_draw_versions(runs),
        *_draw_line(Line(1, "", values), marks[-1]),
        *_draw_runs(runs, marks[-1]),
    )


def build_load_histories(runs: Sequence[MeasuredRun]) -> list[LoadHistory]:
    """A chart for each load and each of its figures that MIN_RUNS runs have."""
    keys = dict.fromkeys(key for measured in runs for key in measured.figures if key.measures_load)
    loads = list(dict.fromkeys(key.subject for key in keys))[:MAX_LOADS]
    found = (
        _build_load_history(runs, [key for key in keys if (key.subject, key.name) == (load, name)])
        for load in loads
        for name in LOAD_FIGURES
    )
    return [history for history in found if history is not None]


def _build_load_history(runs: Sequence[MeasuredRun], keys: Sequence[FigureKey]) -> LoadHistory | None:
    """One key for each phase."""
    shown = keys[:MAX_LINES]
    lines = [
        Line(number, key.phase, [measured.figures.get(key) for measured in runs])
        for number, key in enumerate(shown, 1)
    ]
    measured_runs = [any(line.values[place] is not None for line in lines) for place in range(len(runs))]
    if sum(measured_runs) < MIN_RUNS:
        return None
    key, unit = shown[0], UNITS[shown[0].name]
    marks = axis(0.0, max(value for line in lines for value in line.values if value is not None))
    last = ", ".join(f"{line.name} {key.format_value(line.values[-1]) or 'unknown'}" for line in lines)
    drawn = picture(
        WIDTH,
        HEIGHT,
        f"{key.in_words} of load {key.subject} in the last {len(runs)} runs; in the last one: {last}",
        *_draw_axis(marks, unit, "outcome"),
        *_draw_versions(runs),
        *(shape for line in lines for shape in _draw_line(line, marks[-1])),
        *(shape for line in lines for shape in _draw_points(line, key, runs, marks[-1])),
        *(_draw_outcome(number, runs, BELOW) for number in range(len(runs))),
    )
    rows = [
        (runs[place], [key.format_value(line.values[place]) for line in lines])
        for place in reversed(range(len(runs)))
    ]
    return LoadHistory(key.in_words, key.subject, lines, drawn, rows)


def _describe(runs: Sequence[MeasuredRun]) -> str:
    passed = sum(measured.run.outcome == "passed" for measured in runs)
    times = [duration(measured.time_to_recover) for measured in runs if measured.time_to_recover is not None]
    recovered = f"; time to recover, the last at the end: {', '.join(times)}" if times else ""
    return f"The last {len(runs)} runs, {passed} of them passed{recovered}"


def _find_x(number: int, runs: Sequence[object]) -> float:
    return LEFT + (RIGHT - LEFT) * (number + 0.5) / len(runs)


def _find_y(value: float, highest: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / highest


def _draw_axis(marks: Sequence[float], unit: Unit, below: str) -> Iterator[SafeString]:
    for value in marks:
        y = _find_y(value, marks[-1])
        yield element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y, y2=y)
        label = quantity(value, unit)
        yield element("text", label, class_="small", x=LEFT - 6, y=y + 4, text_anchor="end")
    yield element("text", below, class_="small", x=LEFT - 6, y=BELOW + 4, text_anchor="end")


def _draw_versions(runs: Sequence[MeasuredRun]) -> Iterator[SafeString]:
    """A line where the version changes."""
    known = [
        (number, measured.version) for number, measured in enumerate(runs) if measured.version is not None
    ]
    if known:
        yield element("text", f"version {known[0][1]}", class_="small", x=LEFT, y=TOP - 10)
    for (_number, before), (number, version) in pairwise(known):
        if version != before:
            x = _find_x(number, runs) - (RIGHT - LEFT) / len(runs) / 2
            yield element("line", class_="now", x1=x, x2=x, y1=TOP - 6, y2=BELOW + 8)
            yield element("text", f"{version}", class_="small", x=x + 3, y=TOP - 10)


def _draw_line(line: Line, highest: float) -> Iterator[SafeString]:
    points = [
        f"{_find_x(number, line.values):.1f} {_find_y(value, highest):.1f}"
        for number, value in enumerate(line.values)
        if value is not None
    ]
    if len(points) > 1:
        yield element("path", class_=f"series series-{line.number}", d=f"M{'L'.join(points)}")


def _draw_points(
    line: Line, key: FigureKey, runs: Sequence[MeasuredRun], highest: float
) -> Iterator[SafeString]:
    for number, value in enumerate(line.values):
        if value is not None:
            title = element("title", f"{runs[number].run.short_id}, {line.name}: {key.format_value(value)}")
            x, y = _find_x(number, runs), _find_y(value, highest)
            yield element("circle", title, class_=f"series series-{line.number}", cx=x, cy=y, r=2.0)


def _draw_runs(runs: Sequence[MeasuredRun], highest: float) -> Iterator[SafeString]:
    for number, measured in enumerate(runs):
        value = measured.time_to_recover
        y = BELOW if value is None else _find_y(value, highest)
        yield _draw_outcome(number, runs, y, "" if value is None else f", recovered in {duration(value)}")


def _draw_outcome(number: int, runs: Sequence[MeasuredRun], y: float, more: str = "") -> SafeString:
    run = runs[number].run
    words = f"{run.short_id}: {run.verdict}{more}"
    shape = mark(_find_x(number, runs), VERDICTS.get(run.outcome, "once"), words)
    return element("g", shape, transform=f"translate(0 {y - MIDDLE:.1f})")
