"""The text of what is exposed: by templates, of which only the values change from scrape to scrape."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from io import BytesIO
from itertools import chain, dropwhile, repeat, takewhile
from operator import itemgetter
from types import MappingProxyType

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from metrics_app.adapters.conversion import to_text
from metrics_app.adapters.prometheus.snapshot import (
    Encode,
    Families,
    Family,
    LabelSet,
    Series,
    Snapshot,
    with_constant_labels,
    without_collections,
)

GAP = re.compile(r"\0(\d+)\0")
SHORT = 1e6
"""Below it, Python writes a number as Go does."""
END_OF_OPENMETRICS = "# EOF\n"
OPENMETRICS = "application/openmetrics-text"
MAX_FORMATS = 4
MAX_TEXTS = 20_000
SUMS = ("counter", "histogram", "summary")
"""Types of families whose values are sums: none is -0.0, which is equal to 0.0 and written otherwise."""
LINES_AT_ONCE = 10_000
LABEL_NAME, LABEL_VALUE = itemgetter(0), itemgetter(1)
NONE: Mapping[Series, str] = MappingProxyType({})


class Template:
    """The text of a family with a gap for each value.

    prometheus_client writes one sample of each shape, which is everything but the labels' values, so that
    names, order and punctuation are its own, in each of its formats.
    """

    def __init__(
        self, family: Family, encode: Encode, constant_labels: LabelSet, *, openmetrics: bool = False
    ) -> None:
        self.family = family
        self._named = family.named_for(openmetrics=openmetrics)
        self._encode = encode
        self._constant_labels = constant_labels
        shape_of_each = list(map(_shape, family.series))
        shapes = dict(zip(shape_of_each, family.series, strict=True))
        text = self._encoded([_with_gaps(series) for series in shapes.values()], repeat(0.0, len(shapes)))
        lines = text.split("\n")[:-1]
        self._head = "".join([f"{line}\n" for line in takewhile(_is_comment, lines)]).encode()
        patterns = [_Pattern(line) for line in dropwhile(_is_comment, lines)]
        # Samples as '_created' are moved to a family of their own, behind the others.
        self._in_order = not any(map(_is_comment, dropwhile(_is_comment, lines)))
        if self._in_order:
            by_shape = dict(zip(shapes, patterns, strict=True))
            escaped = Escaped()
            # Each line but the first begins with the end of the one before.
            begins = chain(("",), repeat("\n"))
            self._starts = [
                begin + by_shape[shape].start(series, escaped)
                for begin, shape, series in zip(begins, shape_of_each, family.series, strict=False)
            ]

    def write(
        self,
        write: Callable[[bytes], object],
        values: Sequence[float],
        texts: "Texts | None" = None,
        exemplars: Mapping[Series, str] = NONE,
    ) -> None:
        if not self._in_order:
            write(self._encoded(self.family.series, values).encode())
            return
        write(self._head)
        places = {}
        if exemplars:
            places = {self._places[of]: text for of, text in exemplars.items() if of in self._places}
        # In parts, so that only the bytes of the whole text are in memory at once.
        for begin in range(0, len(values), LINES_AT_ONCE):
            part = values[begin : begin + LINES_AT_ONCE]
            known = texts if self.family.type in SUMS else None
            numbers = _format(part) if known is None else list(map(known.__getitem__, part))
            for place in range(begin, begin + len(numbers)) if places else ():
                numbers[place - begin] += places.get(place, "")
            pieces = [""] * (2 * len(numbers))
            pieces[::2] = self._starts[begin : begin + LINES_AT_ONCE]
            pieces[1::2] = numbers
            write("".join(pieces).encode(errors="replace"))
        if values:
            write(b"\n")

    @cached_property
    def _places(self) -> dict[Series, int]:
        return {series: place for place, series in enumerate(self.family.series)}

    def _encoded(self, series: Iterable[Series], values: Iterable[float]) -> str:
        labelled = [(name, with_constant_labels(labels, self._constant_labels)) for name, labels in series]
        family = Family(self._named.name, self._named.help, self._named.type, labelled)
        return self._encode(Families(family.metric(values))).decode().removesuffix(END_OF_OPENMETRICS)


class _Pattern:
    """One line of the text, with gaps for its labels' values."""

    def __init__(self, line: str) -> None:
        parts = GAP.split(line.rpartition(" ")[0].replace("%", "%%"))
        self._format = "%s".join(parts[::2]) + " "
        order = [int(number) for number in parts[1::2]]
        self._order = None if order == list(range(len(order))) else order

    def start(self, series: Series, escaped: "Escaped") -> str:
        """The text before the value of this series."""
        labels = series[1] if self._order is None else [series[1][number] for number in self._order]
        return self._format % tuple(map(escaped.__getitem__, map(LABEL_VALUE, labels)))


def _shape(series: Series) -> tuple[str, ...]:
    return (series[0], *map(LABEL_NAME, series[1]))


def _with_gaps(series: Series) -> Series:
    return series[0], tuple([(name, f"\0{number}\0") for number, (name, _) in enumerate(series[1])])


def _is_comment(line: str) -> bool:
    return line.startswith("#")


def _format(values: Iterable[float]) -> list[str]:
    # The comparison excludes infinities and NaN, too.
    return [repr(value) if -SHORT < value < SHORT else _format_long(value) for value in values]


@lru_cache(maxsize=1024)
def _format_long(value: float) -> str:
    """Kept, because sizes of memory and times of starts are often the same at the next scrape."""
    return str(floatToGoString(value))


class Texts(dict[float, str]):
    """The text of each value: from one scrape to the next, most stay as they are."""

    def __missing__(self, value: float) -> str:
        if len(self) == MAX_TEXTS:
            self.clear()
        [text] = _format([value])
        self[value] = text
        return text


class Escaped(dict[str, str]):
    """The escaped text of each label value, because most occur in many series."""

    def __missing__(self, value: str) -> str:
        text = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        self[value] = text
        return text


class Writer:
    """Writes families with the constant labels on every sample; keeps the template of each.

    The labels are not stored with the series, so a new version of the service does not bring back
    the series of the old one. `exemplars` gives those of a family's series, by its name.
    """

    def __init__(
        self,
        constant_labels: Mapping[str, str],
        exemplars: Callable[[], Mapping[str, Mapping[Series, str]]] = dict,
    ) -> None:
        self._exemplars = exemplars
        self._constant_labels = tuple(constant_labels.items())
        self._templates: dict[str, dict[str, Template]] = {}
        self._last_size = 0
        self._texts = Texts()

    @without_collections()
    def text(self, snapshots: Iterable[Snapshot], encode: Encode, content_type: str) -> bytes:
        known = self._templates.get(content_type, {})
        now: dict[str, Template] = {}
        # As large as the last one from the start: a buffer that grows in steps takes more memory and is
        # copied.
        text = BytesIO(bytes(self._last_size))
        openmetrics = content_type.startswith(OPENMETRICS)
        exemplars = self._exemplars() if openmetrics else {}  # the other format has none
        found = list(snapshots)
        # A scrape of more series would forget most before the next one.
        texts = self._texts if sum(len(values) for _, values in found) <= MAX_TEXTS else None
        for family, values in found:
            if family.collected is not None:
                text.write(self._collected(family.collected, encode).encode())
                continue
            template = known.get(family.name)
            if template is None or template.family is not family:
                template = Template(family, encode, self._constant_labels, openmetrics=openmetrics)
            now[family.name] = template
            template.write(text.write, values, texts, exemplars.get(family.name, NONE))
        self._keep(content_type, now)
        text.write(END_OF_OPENMETRICS.encode() if openmetrics else b"")
        self._last_size = text.tell()
        text.truncate()
        return text.getvalue()

    def _collected(self, metric: Metric, encode: Encode) -> str:
        labelled = Metric(metric.name, to_text(metric.documentation), metric.type, metric.unit)
        labelled.samples = [
            sample._replace(labels=dict(with_constant_labels(sample.labels.items(), self._constant_labels)))
            for sample in metric.samples
        ]
        return encode(Families(labelled)).decode().removesuffix(END_OF_OPENMETRICS)

    def _keep(self, content_type: str, templates: dict[str, Template]) -> None:
        # The client chooses the format, and must not make this grow by asking for ever new ones.
        if content_type not in self._templates and len(self._templates) == MAX_FORMATS:
            self._templates = {}
        self._templates[content_type] = templates
