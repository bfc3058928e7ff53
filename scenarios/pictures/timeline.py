"""A timeline: phases as bands, one row for each thing that happens in them. All lengths are in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.safestring import SafeString

from scenarios.domain.outputs import shorten
from scenarios.pictures.svg import element, join, picture

WIDTH = 960.0
LEFT, RIGHT = 270.0, 950.0
HEAD, ROW, FOOT = 42.0, 24.0, 22.0
MIDDLE = ROW / 2
LABEL_CHARACTERS = 38
LABEL_CHARACTER = 6.9
CHARACTER = 7.2  # for a wide font, so that words are shortened rather than cut off
MIN_CHARACTERS = 4
MAX_ROWS = 200
MIN_WIDTH = 3.0


@dataclass(frozen=True, slots=True)
class Band:
    """A phase, from left to right; `note` stands under its name."""

    name: str
    note: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Row:
    """`shapes` are drawn with y from 0 to ROW."""

    label: str
    shapes: Sequence[SafeString] = field(default_factory=list)


def draw_timeline(title: str, bands: Sequence[Band], rows: Sequence[Row], *overlay: str) -> SafeString:
    """The picture; `overlay` is drawn over everything, with y from 0 at the top."""
    shown = list(rows[:MAX_ROWS])
    if len(rows) > MAX_ROWS:
        shown.append(Row(f"and {len(rows) - MAX_ROWS} more rows"))
    height = compute_height(len(shown))
    return picture(
        WIDTH,
        height,
        title,
        *(_band(number, band, height) for number, band in enumerate(bands)),
        *(_row(number, row) for number, row in enumerate(shown)),
        *overlay,
        left=_unused(shown),
    )


def compute_height(rows: int) -> float:
    return HEAD + ROW * max(1, min(rows, MAX_ROWS + 1)) + FOOT


def _unused(rows: Sequence[Row]) -> float:
    """The width of the labels' column that no row uses, to be saved on narrow screens."""
    longest = max((len(row.label) for row in rows), default=0)
    return float(max(0, round(LEFT - 20 - min(longest, LABEL_CHARACTERS) * LABEL_CHARACTER)))


def _band(number: int, band: Band, height: float) -> SafeString:
    fits = int((band.right - band.left - 10) / CHARACTER)
    return element(
        "g",
        element("title", f"{band.name}: {band.note}" if band.note else band.name),
        element(
            "rect",
            class_="phase-odd" if number % 2 else "phase-even",
            x=band.left,
            y=0.0,
            width=max(MIN_WIDTH, band.right - band.left),
            height=height,
        ),
        element("line", class_="grid", x1=band.left, x2=band.left, y1=0.0, y2=height),
        *(
            element("text", shorten(words, fits), class_=kind, x=band.left + 5, y=y)
            for words, kind, y in ((band.name, "head", 16.0), (band.note, "small", 32.0))
            if fits >= MIN_CHARACTERS
        ),
    )


def _row(number: int, row: Row) -> SafeString:
    label = element(
        "text",
        element("title", row.label),
        shorten(row.label, LABEL_CHARACTERS),
        x=LEFT - 10,
        y=MIDDLE + 4,
        text_anchor="end",
    )
    return element("g", label, *row.shapes, transform=f"translate(0 {HEAD + number * ROW:g})")


# Shapes of a row


def span(left: float, right: float, kind: str, title: str, *, thin: bool = False) -> SafeString:
    """A bar; `thin` for validations, so that faults stand out."""
    height = 8.0 if thin else 16.0
    return element(
        "rect",
        element("title", title),
        class_=kind,
        x=left,
        y=(ROW - height) / 2,
        width=max(MIN_WIDTH, right - left),
        height=height,
        rx=3.0,
    )


def line(left: float, right: float, kind: str, title: str) -> SafeString:
    shape = element("line", class_=kind, x1=left, x2=right, y1=MIDDLE, y2=MIDDLE)
    return element("g", element("title", title), shape)


def mark(x: float, verdict: str, title: str) -> SafeString:
    """Each verdict has its own shape, so that nobody depends on colour."""
    y = MIDDLE
    paths = {
        "passed": f"M{x - 5.5:.1f} {y:g}l4.1 4.4 6.6-9.4",
        "failed": f"M{x - 5:.1f} {y - 5:g}l10 10M{x + 5:.1f} {y - 5:g}l-10 10",
        "errored": f"M{x:.1f} {y - 6:g}l6.5 11.5h-13z",
        "action": f"M{x - 3:.1f} {y - 5:g}l7 5-7 5z",
    }
    diamond = f"M{x:.1f} {y - 6:g}l6 6-6 6-6-6z"
    path = element("path", class_=f"mark {verdict}", d=paths.get(verdict, diamond))
    return join(element("g", element("title", title), path))
