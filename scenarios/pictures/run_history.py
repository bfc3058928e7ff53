"""The time to recover of successive runs, each with its outcome, and where the scenario changed."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from django.utils.safestring import SafeString

from scenarios.domain.units import Unit
from scenarios.pictures.quantities import axis, quantity
from scenarios.pictures.svg import element, picture
from scenarios.pictures.timeline import MIDDLE, mark
from scenarios.pictures.words import duration
from scenarios.runs.measured_runs import MeasuredRun

WIDTH, HEIGHT = 480.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 470.0, 24.0, 150.0
# The place of runs that did not recover, or had nothing to recover from.
BELOW = 172.0
VERDICTS = {"passed": "passed", "failed": "failed", "errored": "errored"}


def draw_run_history(runs: Sequence[MeasuredRun]) -> SafeString:
    values = [measured.time_to_recover for measured in runs if measured.time_to_recover is not None]
    marks = axis(0.0, max(values, default=0.0))
    return picture(
        WIDTH,
        HEIGHT,
        _describe(runs),
        *_draw_axis(marks),
        *_draw_versions(runs),
        *_draw_line(runs, marks[-1]),
        *_draw_runs(runs, marks[-1]),
    )


def _describe(runs: Sequence[MeasuredRun]) -> str:
    passed = sum(measured.run.outcome == "passed" for measured in runs)
    times = [duration(measured.time_to_recover) for measured in runs if measured.time_to_recover is not None]
    recovered = f"; time to recover, the last at the end: {', '.join(times)}" if times else ""
    return f"The last {len(runs)} runs, {passed} of them passed{recovered}"


def _find_x(number: int, runs: Sequence[MeasuredRun]) -> float:
    return LEFT + (RIGHT - LEFT) * (number + 0.5) / len(runs)


def _find_y(value: float, highest: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / highest


def _draw_axis(marks: Sequence[float]) -> Iterator[SafeString]:
    for value in marks:
        y = _find_y(value, marks[-1])
        yield element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y, y2=y)
        label = quantity(value, Unit.SECONDS)
        yield element("text", label, class_="small", x=LEFT - 6, y=y + 4, text_anchor="end")
    yield element("text", "none", class_="small", x=LEFT - 6, y=BELOW + 4, text_anchor="end")


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


def _draw_line(runs: Sequence[MeasuredRun], highest: float) -> Iterator[SafeString]:
    points = [
        f"{_find_x(number, runs):.1f} {_find_y(measured.time_to_recover, highest):.1f}"
        for number, measured in enumerate(runs)
        if measured.time_to_recover is not None
    ]
    if len(points) > 1:
        yield element("path", class_="series series-1", d=f"M{'L'.join(points)}")


def _draw_runs(runs: Sequence[MeasuredRun], highest: float) -> Iterator[SafeString]:
    for number, measured in enumerate(runs):
        y = BELOW if measured.time_to_recover is None else _find_y(measured.time_to_recover, highest)
        words = f"{measured.run.short_id}: {measured.run.verdict}"
        if measured.time_to_recover is not None:
            words += f", recovered in {duration(measured.time_to_recover)}"
        shape = mark(_find_x(number, runs), VERDICTS.get(measured.run.outcome, "once"), words)
        yield element("g", shape, transform=f"translate(0 {y - MIDDLE:.1f})")
