"""A timeline: phases as bands, one row for each thing that happens in them. All lengths are in pixels."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from django.utils.safestring import SafeString

from scenarios.pictures.svg import element, join, picture

WIDTH = 960.0
LEFT, RIGHT = 270.0, 950.0
HEAD, ROW, FOOT = 42.0, 24.0, 22.0
MIDDLE = ROW / 2
LABEL_CHARACTERS = 38
LABEL_CHARACTER = 6.9
# The column of labels is as wide as "response time," below the name of a curve.
MIN_LABEL = 14
LINE = 14.0
CHARACTER = 7.2  # for a wide font, so that words that do not fit are written below
NOTE_CHARACTER, NOTE = 6.6, 16.0
MAX_ROWS = 200
MIN_WIDTH = 3.0
# A band needs this width for its number.
NUMBER_WIDTH = 16.0


@dataclass(frozen=True, slots=True)
class Band:
    """A phase, from left to right; `note` stands under its name. `is_to_come`: it has not begun."""

    name: str
    note: str
    left: float
    right: float
    is_to_come: bool = False

    @property
    def fits(self) -> bool:
        return max(len(self.name), len(self.note)) * CHARACTER + 10 <= self.right - self.left


@dataclass(frozen=True, slots=True)
class Row:
    """`shapes` are drawn with y from 0 to ROW; a label of several lines makes the row higher."""

    label: str
    shapes: Sequence[SafeString] = field(default_factory=list)

    @property
    def height(self) -> float:
        return ROW + LINE * (len(wrap_label(self.label)) - 1)


@dataclass(frozen=True, slots=True)
class Frame:
    """How high the parts of a timeline are, and what of its width is shown."""

    rows: Sequence[Row]
    bands: Sequence[Band]
    left: float

    @property
    def bottom(self) -> float:
        """Where the rows end."""
        return HEAD + max(ROW, sum(row.height for row in self.rows))

    @property
    def notes(self) -> list[str]:
        """The names of the phases that have no room for them, in lines."""
        words = (
            f"{number} {band.name}{f' ({band.note})' if band.note else ''}"
            for number, band in enumerate(self.bands, 1)
            if not band.fits
        )
        return textwrap.wrap(", ".join(words), int((RIGHT - self.left) / NOTE_CHARACTER))

    @property
    def height(self) -> float:
        return self.bottom + FOOT + NOTE * len(self.notes)


def build_frame(bands: Sequence[Band], rows: Sequence[Row], labels: Sequence[str] = ()) -> Frame:
    """The frame of at most MAX_ROWS rows; `labels` are others that need the same room beside the rows."""
    shown = list(rows[:MAX_ROWS])
    if len(rows) > MAX_ROWS:
        shown.append(Row(f"and {len(rows) - MAX_ROWS} more rows"))
    return Frame(shown, bands, find_unused([*labels, *(row.label for row in shown)]))


def draw_timeline(title: str, frame: Frame, *overlay: str, **attributes: str | float) -> SafeString:
    """The picture; `overlay` is drawn over everything, with y from 0 at the top."""
    return picture(
        WIDTH,
        frame.height,
        title,
        *(_band(number, band, frame.bottom + FOOT) for number, band in enumerate(frame.bands)),
        *_rows(frame.rows),
        *overlay,
        *(
            element("text", note, class_="small", x=frame.left + 4, y=frame.bottom + FOOT + NOTE * line - 4)
            for line, note in enumerate(frame.notes, 1)
        ),
        left=frame.left,
        **attributes,
    )


def find_unused(labels: Sequence[str]) -> float:
    """The width of the labels' column that no row uses, to be saved on narrow screens."""
    longest = max([MIN_LABEL, *(len(line) for label in labels for line in wrap_label(label))])
    return float(max(0, round(LEFT - 20 - longest * LABEL_CHARACTER)))


# A picture asks for the lines of each label several times.
@lru_cache(maxsize=1024)
def wrap_label(label: str) -> Sequence[str]:
    """The lines of a label, all of it."""
    return tuple(textwrap.wrap(label, LABEL_CHARACTERS)) or ("",)


def _band(number: int, band: Band, height: float) -> SafeString:
    width = band.right - band.left
    shown = (band.name, band.note) if band.fits else (str(number + 1), "")
    kind = "phase-odd" if number % 2 else "phase-even"
    return element(
        "g",
        element("title", f"{band.name}: {band.note}" if band.note else band.name),
        element(
            "rect",
            class_=f"{kind} to-come" if band.is_to_come else kind,
            x=band.left,
            y=0.0,
            width=max(MIN_WIDTH, width),
            height=height,
        ),
        element("line", class_="grid", x1=band.left, x2=band.left, y1=0.0, y2=height),
        *(
            element("text", words, class_=style, x=band.left + 5, y=y)
            for words, style, y in ((shown[0], "head", 16.0), (shown[1], "small", 32.0))
            if words and (band.fits or width >= NUMBER_WIDTH)
        ),
    )


def _rows(rows: Sequence[Row]) -> Iterator[SafeString]:
    y = HEAD
    for row in rows:
        label = draw_label(row.label, MIDDLE + 4)
        yield element("g", label, *row.shapes, transform=f"translate(0 {y:g})")
        y += row.height


def draw_label(label: str, y: float) -> SafeString:
    """The label beside its row, in as many lines as it needs."""
    lines = wrap_label(label)
    if len(lines) == 1:
        return element("text", lines[0], x=LEFT - 10, y=y, text_anchor="end")
    spans = (element("tspan", line, x=LEFT - 10, y=y + LINE * number) for number, line in enumerate(lines))
    return element("text", *spans, text_anchor="end")


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
