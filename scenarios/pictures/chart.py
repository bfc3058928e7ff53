"""A chart of one query: its series during the run, and below it a small strip of the ten minutes around.

Faults are shaded, and validations are marked on a bar for the run. All lengths are in pixels.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.safestring import SafeString

from scenarios.charts.kept import Chart, Value
from scenarios.domain.durations import format_duration
from scenarios.pictures.quantities import axis, quantity
from scenarios.pictures.svg import element, picture
from scenarios.pictures.timeline import mark

WIDTH = 400.0
LEFT, RIGHT = 58.0, 390.0
TOP, BOTTOM = 22.0, 148.0
BAR, BAR_HEIGHT = 152.0, 16.0
TICKS_AT = 182.0
STRIP_TOP, STRIP_BOTTOM = 194.0, 222.0
HEIGHT, HEIGHT_WITH_STRIP = 188.0, 240.0
STEPS_OF_TIME = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 604800)
MAX_TICKS = 5
WORD_FITS = 34.0
NEAR = 9.0
MIN_WIDTH = 2.0
# A strip is drawn only if it is this many times as long as the chart.
WORTH_A_STRIP = 1.25


@dataclass(frozen=True, slots=True)
class Fault:
    """`ends` is None while it is injected. Unix seconds."""

    name: str
    begins: float
    ends: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """The result of a validation or guard at a moment."""

    name: str
    verdict: str
    at: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What happened while it was measured. `left` and `right` bound what is shown large, `around` the small
    strip, in Unix seconds; `known_until` is how far a fault that is not undone is known to last. In `misses`,
    times from and to, what is measured was not as expected. `origin` says what the time axis is counted from;
    by default it is when the run began. Without a run, `began` and `ends` are the same.
    """

    began: float
    ends: float
    goes_on: bool
    left: float
    right: float
    around: tuple[float, float]
    faults: Sequence[Fault]
    judged: Sequence[Judged]
    known_until: float = math.inf
    misses: Sequence[tuple[float, float]] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A part of the picture: time from left to right, values from bottom to top."""

    begin: float
    end: float
    top: float
    bottom: float
    lowest: float
    highest: float

    def x(self, moment: float) -> float:
        share = (moment - self.begin) / ((self.end - self.begin) or 1.0)
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share))

    def y(self, value: float) -> float:
        share = (value - self.lowest) / (self.highest - self.lowest)
        return self.bottom - (self.bottom - self.top) * min(1.0, max(0.0, share))

    def shows(self, begin: float, end: float) -> bool:
        return begin <= self.end and end >= self.begin


def draw_chart(chart: Chart, scene: Scene, words: str) -> SafeString:
    """The picture; `words` describe it for screen readers."""
    shown = [
        value for series in chart.series for value in chart.numbers(series, scene.left, scene.right + 1e-3)
    ]
    marks = axis(min(shown, default=0.0), max(shown, default=0.0))
    frame = _Frame(scene.left, scene.right, TOP, BOTTOM, marks[0], marks[-1])
    has_strip = scene.around[1] - scene.around[0] > WORTH_A_STRIP * (scene.right - scene.left)
    return picture(
        WIDTH,
        HEIGHT_WITH_STRIP if has_strip else HEIGHT,
        words,
        *_value_axis(marks, frame, chart),
        *_faults(frame, scene),
        *_words_above(frame, scene),
        *_lines(chart, frame),
        *_run(frame, scene),
        *_time_axis(frame, scene),
        *(_strip(chart, scene) if has_strip else ()),
    )


def _value_axis(marks: Sequence[float], frame: _Frame, chart: Chart) -> Iterator[SafeString]:
    for value in marks:
        y = frame.y(value)
        yield element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y, y2=y)
        label = quantity(value, chart.unit)
        yield element("text", label, class_="small", x=LEFT - 6, y=y + 4, text_anchor="end")


def _faults(frame: _Frame, scene: Scene) -> Iterator[SafeString]:
    for fault, left, right in _windows(frame, scene):
        is_left = fault.ends is None and not scene.goes_on
        yield element(
            "rect",
            element("title", f"fault: {fault.name}"),
            class_="fault left" if is_left else "fault",
            x=left,
            y=frame.top,
            width=max(MIN_WIDTH, right - left),
            height=frame.bottom - frame.top,
        )


def _windows(frame: _Frame, scene: Scene) -> list[tuple[Fault, float, float]]:
    last = min(frame.end, scene.known_until)
    ends = [(fault, last if fault.ends is None else fault.ends) for fault in scene.faults]
    return [
        (fault, frame.x(fault.begins), frame.x(end)) for fault, end in ends if frame.shows(fault.begins, end)
    ]


def _words_above(frame: _Frame, scene: Scene) -> Iterator[SafeString]:
    """One word for overlapping windows, if there is room."""
    groups: list[tuple[float, float, int]] = []
    for _fault, left, right in sorted(_windows(frame, scene), key=lambda window: window[1]):
        if groups and left < groups[-1][1] + NEAR:
            first, last, count = groups.pop()
            groups.append((first, max(last, right), count + 1))
        else:
            groups.append((left, right, 1))
    for left, right, count in groups:
        if right - left >= WORD_FITS:
            word = "fault" if count == 1 else f"{count} faults"
            yield element("text", word, class_="small", x=(left + right) / 2, y=TOP - 6, text_anchor="middle")


# Lines


def _lines(chart: Chart, frame: _Frame) -> Iterator[SafeString]:
    moments = chart.moments
    inside = range(bisect_left(moments, frame.begin), bisect_right(moments, frame.end))
    across = {place: f"{frame.x(moments[place]):.1f}" for place in inside}
    for number, series in enumerate(chart.series, 1):
        strokes = _strokes(moments, series.values, frame, across)
        # The round ends of the line make a single point a dot.
        path = "".join(f"M{'L'.join(stroke)}{'' if len(stroke) > 1 else 'h.01'}" for stroke in strokes)
        if path:
            label = [element("title", series.name)] if series.name else []
            yield element("path", *label, class_=f"series series-{number}", d=path)


def _strokes(
    moments: Sequence[float], values: Sequence[Value], frame: _Frame, across: Mapping[int, str]
) -> Iterator[list[str]]:
    """Groups of adjacent points; values between groups are unknown."""
    points = list(_crossing(moments, values, frame, frame.begin))
    for place, x in across.items():
        value = values[place]
        if isinstance(value, float):
            points.append(f"{x} {frame.y(value):.1f}")
        elif points:
            yield points
            points = []
    points += _crossing(moments, values, frame, frame.end)
    if points:
        yield points


def _crossing(moments: Sequence[float], values: Sequence[Value], frame: _Frame, edge: float) -> Iterator[str]:
    """Where the line crosses an edge of the frame."""
    after = bisect_right(moments, edge)
    if not 0 < after < len(moments) or moments[after - 1] == edge:
        return
    start, end = values[after - 1], values[after]
    if isinstance(start, float) and isinstance(end, float):
        share = (edge - moments[after - 1]) / (moments[after] - moments[after - 1])
        yield f"{frame.x(edge):.1f} {frame.y(start + (end - start) * share):.1f}"


# The run, and when


def _run(frame: _Frame, scene: Scene) -> Iterator[SafeString]:
    """A bar as long as the run, with results on it; close ones are merged."""
    begins, ends = frame.x(scene.began), frame.x(scene.ends)
    label = element("title", "the run")
    width = max(MIN_WIDTH, ends - begins)
    if scene.ends > scene.began or scene.goes_on:
        yield element("rect", label, class_="of-run", x=begins, y=BAR + 6, width=width, height=4.0, rx=2.0)
    if scene.goes_on:
        yield element("line", class_="now", x1=ends, x2=ends, y1=TOP, y2=BAR + BAR_HEIGHT)
    yield from _misses(frame, scene)
    for verdict, x, names in _marks(frame, scene):
        shape = mark(x, verdict, f"{verdict}: {', '.join(names)}")
        yield element("g", shape, transform=f"translate(0 {BAR - 4:g})")


def _misses(frame: _Frame, scene: Scene) -> Iterator[SafeString]:
    """Bars over that of the run; those that would touch are one."""
    merged: list[tuple[float, float, float, float]] = []
    for begin, end in scene.misses:
        left = frame.x(begin)
        right = max(left + MIN_WIDTH, frame.x(end))
        if merged and left <= merged[-1][1] + 1:
            first, _right, since, _until = merged.pop()
            merged.append((first, right, since, end))
        else:
            merged.append((left, right, begin, end))
    for left, right, begin, end in merged:
        times = f"{_since(round(begin - scene.began, 1))} to {_since(round(end - scene.began, 1))}"
        label = element("title", f"does not hold: {times}")
        yield element("rect", label, class_="misses", x=left, y=BAR + 2, width=right - left, height=12.0)


def _marks(frame: _Frame, scene: Scene) -> list[tuple[str, float, list[str]]]:
    merged: list[tuple[str, float, list[str]]] = []
    for result in sorted(scene.judged, key=lambda result: result.at):
        x = frame.x(result.at)
        near = [names for verdict, at, names in merged if verdict == result.verdict and x - at < NEAR]
        if near:
            near[-1].append(result.name)
        else:
            merged.append((result.verdict, x, [result.name]))
    return merged


def _time_axis(frame: _Frame, scene: Scene) -> Iterator[SafeString]:
    length = frame.end - frame.begin
    step = next((seconds for seconds in STEPS_OF_TIME if length / seconds <= MAX_TICKS), length)
    first = int((frame.begin - scene.began) // step) + 1
    for number in range(first, int((frame.end - scene.began) // step) + 1):
        x = frame.x(scene.began + number * step)
        yield element("line", class_="grid", x1=x, x2=x, y1=TOP, y2=BOTTOM)
        label = _since(number * step)
        if LEFT + 8 < x < RIGHT - 4:
            yield element("text", label, class_="small", x=x, y=TICKS_AT, text_anchor="middle")
    origin = scene.origin or f"{datetime.fromtimestamp(scene.began, UTC):%H:%M:%S} UTC"
    yield element("text", f"0 = {origin}", class_="small", x=2.0, y=TOP - 9)


def _since(seconds: float) -> str:
    if seconds == 0:
        return "0"
    return f"{'-' if seconds < 0 else '+'}{format_duration(abs(seconds))}"


# The ten minutes around


def _strip(chart: Chart, scene: Scene) -> Iterator[SafeString]:
    values = [value for series in chart.series for value in series.values if isinstance(value, float)]
    marks = axis(min(values, default=0.0), max(values, default=0.0))
    frame = _Frame(*scene.around, STRIP_TOP, STRIP_BOTTOM, marks[0], marks[-1])
    left, right = frame.x(scene.left), frame.x(scene.right)
    title = element("title", "the time of the chart above")
    height = STRIP_BOTTOM - STRIP_TOP
    yield element("rect", class_="phase-odd", x=LEFT, y=STRIP_TOP, width=RIGHT - LEFT, height=height)
    yield from _faults(frame, scene)
    yield from _lines(chart, frame)
    yield element("rect", title, class_="shown", x=left, y=STRIP_TOP, width=right - left, height=height)
    for moment, anchor in zip(scene.around, ("start", "end"), strict=True):
        label = _since(round(moment - scene.began))
        yield element(
            "text", label, class_="small", x=frame.x(moment), y=HEIGHT_WITH_STRIP - 4, text_anchor=anchor
        )
