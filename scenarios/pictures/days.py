"""Runs per day as bars, those that passed below the others, and the pass rate as a line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.safestring import SafeString

from scenarios.pictures.svg import element, picture

WIDTH, HEIGHT = 960.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 916.0, 12.0, 162.0
GAP = 4.0
# Bars have this height at least, so that a single run beside a thousand is visible.
MIN_HEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    runs: int
    passed: int


def days_chart(days: Sequence[Day]) -> SafeString:
    most = max((day.runs for day in days), default=0)
    total = sum(day.runs for day in days)
    title = f"Runs per day over {len(days)} days: {total} in all"
    if not most:
        return picture(WIDTH, HEIGHT, title, *_axes(days, 1))
    return picture(WIDTH, HEIGHT, title, *_axes(days, most), *_bars(days, most), *_rate(days))


def _place(number: int, days: Sequence[Day]) -> tuple[float, float]:
    width = (RIGHT - LEFT) / len(days)
    return LEFT + number * width, width


def _axes(days: Sequence[Day], most: int) -> Iterator[SafeString]:
    for share in (0.0, 0.5, 1.0):
        y = BOTTOM - (BOTTOM - TOP) * share
        yield element("line", class_="grid", x1=LEFT, x2=RIGHT, y1=y, y2=y)
        if share != 0.5 or most % 2 == 0:  # noqa: PLR2004 - no half runs
            yield element("text", f"{most * share:g}", class_="small", x=LEFT - 6, y=y + 4, text_anchor="end")
        yield element("text", f"{share:.0%}", class_="small", x=RIGHT + 6, y=y + 4)
    for number, day in enumerate(days):
        if number % 7 == (len(days) - 1) % 7:
            x, width = _place(number, days)
            words = f"{day.day:%d %b}"
            yield element("text", words, class_="small", x=x + width / 2, y=BOTTOM + 18, text_anchor="middle")


def _bars(days: Sequence[Day], most: int) -> Iterator[SafeString]:
    for number, day in enumerate(days):
        x, width = _place(number, days)
        y = BOTTOM
        for kind, count in (("passed", day.passed), ("not-passed", day.runs - day.passed)):
            if not count:
                continue
            height = max(MIN_HEIGHT, (BOTTOM - TOP) * count / most)
            y -= height
            title = element("title", f"{day.day}: {count} {kind.replace('-', ' ')} of {day.runs}")
            yield element(
                "rect", title, class_=f"bar {kind}", x=x + GAP / 2, y=y, width=width - GAP, height=height
            )


def _rate(days: Sequence[Day]) -> Iterator[SafeString]:
    points = []
    for number, day in enumerate(days):
        if day.runs:
            x, width = _place(number, days)
            points.append((x + width / 2, BOTTOM - (BOTTOM - TOP) * day.passed / day.runs, day))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _day in points)
    yield element("polyline", class_="rate", points=path)
    for x, y, day in points:
        title = element("title", f"{day.day}: {day.passed / day.runs:.0%} passed")
        yield element("circle", title, class_="rate-point", cx=x, cy=y, r=3.0)
