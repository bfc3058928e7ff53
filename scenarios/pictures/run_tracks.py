"""Curves of a run below its timeline, on the same axis of time: of its loads, and of what its probes saw."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from django.utils.safestring import SafeString

from scenarios.domain.outcomes import STATES_TO_UNDO
from scenarios.domain.units import Unit
from scenarios.pictures.look_charts import find_misses, reduce_points
from scenarios.pictures.quantities import quantity
from scenarios.pictures.run_progress import Outline, find_progress
from scenarios.pictures.run_timeline import Scale, Span
from scenarios.pictures.svg import element, picture
from scenarios.pictures.timeline import (
    LEFT,
    LINE,
    RIGHT,
    WIDTH,
    draw_label,
    find_unused,
    wrap_label,
)
from scenarios.published.looks import ValidationLooks
from scenarios.runs.history import RunHistory
from scenarios.runs.load_results import LoadResult, find_middles

MAX_TRACKS = 40
HEIGHT, GAP = 40.0, 8.0
# Of a small letter, in pixels; and the letters of ", up to 999.9 ms".
NOTE_CHARACTER, QUANTITY = 6.6, 17
MIN_POINTS = 2
# As wide as "up to 999.9 ms".
MIN_ROOM = 14
Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Track:
    """`points` are Unix seconds and numbers; in `misses`, times from and to, it was not as expected."""

    name: str
    what: str
    unit: Unit
    points: Sequence[Point]
    misses: Sequence[tuple[float, float]] = field(default_factory=list)

    def find_height(self, room: int) -> float:
        """With names in lines of so many characters."""
        lines = 1 if len(self.what) + QUANTITY <= room else 2
        return max(HEIGHT, LINE * (len(wrap_label(self.name)) + lines))

    def list_notes(self, highest: float, room: int) -> list[str]:
        """What is drawn, below its name."""
        top = f"up to {quantity(highest, self.unit)}"
        if len(self.what) + QUANTITY <= room:
            return [f"{self.what}, {top}"]
        what = self.what if len(self.what) < room else f"{self.what[: room - 2]}…"
        return [f"{what},", top]


def draw_tracks(
    history: RunHistory,
    looks: Sequence[ValidationLooks],
    loads: Sequence[LoadResult],
    outline: Outline,
    shown: Span | None = None,
) -> SafeString | None:
    """The picture, as wide as the timeline of the same span; None without a curve."""
    scale = Scale(history, shown, find_progress(history, outline).seconds)
    begin = scale.origin.timestamp() - scale.before
    tracks = [track for load in loads for track in _read_load(load)]
    tracks += [_read_looks(watched_looks) for watched_looks in looks]
    tracks = [
        track for track in tracks if len(_choose_points(track, begin, begin + scale.seconds)) >= MIN_POINTS
    ][:MAX_TRACKS]
    if not tracks:
        return None
    labels = [*outline.labels, *(step.name for step in history.steps), *(track.name for track in tracks)]
    unused = find_unused(labels)
    room = max(MIN_ROOM, int((LEFT - 10 - unused) / NOTE_CHARACTER))
    bottom = sum(track.find_height(room) + GAP for track in tracks)
    names = ", ".join(f"{track.what} of {track.name}" for track in tracks)
    return picture(
        WIDTH,
        bottom + GAP,
        f"Curves on the timeline: {names}",
        *_draw_phases(history, scale, bottom),
        *_draw_faults(history, scale, bottom),
        *_draw_all(tracks, scale, begin, room),
        *scale.draw_moments(bottom),
        left=unused,
        **scale.attributes,
    )


def _read_load(load: LoadResult) -> Iterator[Track]:
    if load.began_at is None:
        return
    begun = load.began_at.timestamp()
    moments = [begun + middle for middle in find_middles([second for second, *_ in load.curve])]
    latencies = [None if p95 is None else float(p95) for *_, p95 in load.curve]
    yield Track(load.name, "p95", Unit.SECONDS, list(zip(moments, latencies, strict=True)))
    rates = [errors / requests if requests else None for _, requests, errors, _ in load.curve]
    shares = list(zip(moments, rates, strict=True))
    yield Track(load.name, "error rate", Unit.SHARE, shares)


def _read_looks(watched_looks: ValidationLooks) -> Track:
    looks, watched = watched_looks.looks, watched_looks.watched
    is_value = any(look.value is not None for look in looks)
    points = [(look.at, look.value if is_value else look.elapsed) for look in looks]
    what, unit = (watched.compared, Unit.NUMBER) if is_value else ("response time", Unit.SECONDS)
    return Track(watched.validation, what, unit, points, list(find_misses(looks)))


def _choose_points(track: Track, begin: float, end: float) -> Sequence[Point]:
    """Those in the span, and the neighbours on both sides, to which the line leads."""
    first = bisect_left(track.points, begin, key=itemgetter(0))
    last = bisect_right(track.points, end, key=itemgetter(0))
    return track.points[max(0, first - 1) : last + 1] if first < last else ()


def _draw_phases(history: RunHistory, scale: Scale, bottom: float) -> Iterator[SafeString]:
    for number, phase in enumerate(history.phases):
        if scale.shows(phase.began, phase.ended):
            left, right = scale.at(phase.began), scale.at(phase.ended)
            kind = "phase-odd" if number % 2 else "phase-even"
            yield element("rect", class_=kind, x=left, y=0.0, width=max(1.0, right - left), height=bottom)


def _draw_faults(history: RunHistory, scale: Scale, bottom: float) -> Iterator[SafeString]:
    for fault in history.injected:
        is_left = fault.state in STATES_TO_UNDO
        ends = None if is_left else fault.closed_at
        if scale.shows(fault.injected_at, ends):
            left, right = scale.at(fault.injected_at), scale.at(ends)
            kind = "fault grows" if is_left and scale.goes_on else "fault"
            title = element("title", f"fault: {fault.action}")
            width = max(1.0, right - left)
            yield element("rect", title, class_=kind, x=left, y=0.0, width=width, height=bottom)


def _draw_all(tracks: Sequence[Track], scale: Scale, begin: float, room: int) -> Iterator[SafeString]:
    top = 0.0
    for track in tracks:
        shapes = _draw_track(track, scale, begin, room)
        yield element("g", *shapes, transform=f"translate(0 {top + GAP / 2:.1f})")
        top += track.find_height(room) + GAP


def _draw_track(track: Track, scale: Scale, begin: float, room: int) -> Iterator[SafeString]:
    height = track.find_height(room)
    points = list(reduce_points(_choose_points(track, begin, begin + scale.seconds)))
    numbers = [number for _at, number in points if number is not None and math.isfinite(number)]
    highest, lowest = max(numbers, default=0.0), min(0.0, *numbers, 0.0)
    lines = len(wrap_label(track.name))
    yield draw_label(track.name, LINE - 2)
    for number, note in enumerate(track.list_notes(highest, room), lines + 1):
        yield element("text", note, class_="small", x=LEFT - 10, y=LINE * number - 2, text_anchor="end")
    yield element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=height, y2=height)
    for miss_begin, miss_end in track.misses:
        left, right = (_place(at, scale, begin) for at in (miss_begin, miss_end))
        if right > LEFT and left < RIGHT:
            yield element(
                "rect", class_="misses", x=left, y=height - 3, width=max(1.5, right - left), height=3.0
            )
    for stroke in _list_strokes(points, scale, begin, (lowest, highest), height):
        path = f"M{'L'.join(stroke)}{'' if len(stroke) > 1 else 'h.01'}"
        yield element("path", class_="series series-1", d=path)


def _place(at: float, scale: Scale, begin: float) -> float:
    return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, (at - begin) / scale.seconds))


def _list_strokes(
    points: Sequence[Point], scale: Scale, begin: float, span: tuple[float, float], height: float
) -> Iterator[list[str]]:
    """Groups of adjacent points; numbers between groups are unknown."""
    lowest, highest = span
    stroke: list[str] = []
    for at, number in points:
        if number is None or not math.isfinite(number):
            if stroke:
                yield stroke
            stroke = []
            continue
        share = (number - lowest) / ((highest - lowest) or 1.0)
        stroke.append(f"{_place(at, scale, begin):.1f} {height - share * (height - 6):.1f}")
    if stroke:
        yield stroke
