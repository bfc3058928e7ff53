"""Two runs beside each other: their timelines from the first injection on, and their looks in one chart."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from scenarios.charts.kept import Chart, Series
from scenarios.domain.looks import Look
from scenarios.domain.units import Unit
from scenarios.pictures.chart import Fault, Scene, draw_chart
from scenarios.pictures.look_charts import MAX_CHARTS, MIN_LOOKS
from scenarios.pictures.run_charts import build_scene
from scenarios.pictures.run_timeline import Span, run_timeline
from scenarios.published.looks import ValidationLooks, read_looks
from scenarios.runs.history import RunHistory

POINTS = 160
ORIGIN = "the first injection"


@dataclass(frozen=True, slots=True)
class ComparedLooks:
    name: str
    phase: str
    about: str
    what: str
    picture: SafeString


def find_origin(history: RunHistory) -> datetime:
    """The first injection; the beginning of a run without one."""
    moments = [fault.injected_at for fault in history.faults if fault.injected_at]
    return min(moments, default=history.began)


def draw_timelines(histories: Sequence[RunHistory]) -> list[SafeString]:
    """One for each run, to the same scale, and with the first injection at the same place."""
    before, after = _find_span(histories)
    return [run_timeline(history, Span(find_origin(history), before, after)) for history in histories]


def draw_compared_looks(histories: Sequence[RunHistory]) -> list[ComparedLooks]:
    """A chart for each validation that looked more than once in both runs."""
    first, second = (
        {_get_name(watched_looks): watched_looks for watched_looks in read_looks(history.run)}
        for history in histories
    )
    both = [
        (first[name], second[name])
        for name in first
        if name in second and min(len(first[name].looks), len(second[name].looks)) >= MIN_LOOKS
    ]
    return [_draw_chart(pair, histories) for pair in both[:MAX_CHARTS]]


def _find_span(histories: Sequence[RunHistory]) -> tuple[float, float]:
    """The seconds before and after the first injection that show all of each run."""
    origins = [find_origin(history) for history in histories]
    pairs = list(zip(histories, origins, strict=True))
    before = max((origin - history.began).total_seconds() for history, origin in pairs)
    after = max((history.ends - origin).total_seconds() for history, origin in pairs)
    return max(0.0, before), max(0.1, after)


def _get_name(watched_looks: ValidationLooks) -> tuple[str, str]:
    return watched_looks.watched.phase, watched_looks.watched.validation


def _draw_chart(pair: Sequence[ValidationLooks], histories: Sequence[RunHistory]) -> ComparedLooks:
    watched = pair[0].watched
    is_value = any(look.value is not None for watched_looks in pair for look in watched_looks.looks)
    before, after = _find_span(histories)
    moments = [-before + (before + after) * number / POINTS for number in range(POINTS + 1)]
    origins = [find_origin(history).timestamp() for history in histories]
    series = [
        Series(name=run, values=list(_resample(watched_looks.looks, origin, moments, is_value=is_value)))
        for run, watched_looks, origin in zip(("this run", "the other"), pair, origins, strict=True)
    ]
    unit = Unit.NUMBER if is_value else Unit.SECONDS
    chart = Chart(
        title=watched.validation, about=watched.about, query="", unit=unit, moments=moments, series=series
    )
    faults = [fault for history in histories for fault in _list_faults(history)]
    around = (-before, after)
    scene = Scene(0.0, after, False, -before, after, around, faults, (), origin=ORIGIN)
    what = watched.compared if is_value else "response time"
    words = f"{watched.validation}, {what} of {watched.about} in both runs, counted from {ORIGIN}"
    picture = draw_chart(chart, scene, words)
    return ComparedLooks(watched.validation, watched.phase, watched.about, what, picture)


def _list_faults(history: RunHistory) -> Iterator[Fault]:
    origin = find_origin(history).timestamp()
    for fault in build_scene(history, history.ends).faults:
        end = history.ends.timestamp() if fault.ends is None else fault.ends
        yield Fault(fault.name, fault.begins - origin, end - origin)


def _resample(
    looks: Sequence[Look], origin: float, moments: Sequence[float], *, is_value: bool
) -> Iterator[float | None]:
    """The highest number between two moments; on the line between its neighbours if there was no look."""
    times = [look.at - origin for look in looks]
    numbers = [look.value if is_value else look.elapsed for look in looks]
    step = moments[1] - moments[0]
    for moment in moments:
        begin, end = bisect_left(times, moment - step / 2), bisect_left(times, moment + step / 2)
        inside = [number for number in numbers[begin:end] if number is not None]
        if inside:
            yield max(inside)
        elif begin == end and 0 < begin < len(times):
            yield _interpolate(times[begin - 1 : begin + 1], numbers[begin - 1 : begin + 1], moment)
        else:
            yield None


def _interpolate(times: Sequence[float], numbers: Sequence[float | None], moment: float) -> float | None:
    (start, end), (first, second) = times, numbers
    if first is None or second is None:
        return None
    return first + (second - first) * (moment - start) / ((end - start) or 1.0)
