"""What is exposed of a metric at one moment, and the text of it."""

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from itertools import chain, dropwhile, repeat, takewhile
from types import MappingProxyType
from typing import NamedTuple, Protocol

from prometheus_client import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from metrics_app.adapters.conversion import to_text
from metrics_app.adapters.names import escape_metric_name

Encode = Callable[["Families"], bytes]
"""One of prometheus_client's encoders."""

GAP = re.compile(r"\0(\d+)\0")
SHORT = 1e6
"""Below it, Python writes a number as Go does."""
END_OF_OPENMETRICS = "# EOF\n"
OPENMETRICS = "application/openmetrics-text"
MAX_FORMATS = 4
LINES_AT_ONCE = 10_000


LabelSet = tuple[tuple[str, str], ...]
Series = tuple[str, LabelSet]
"""The name of a sample and its labels."""


NONE: Mapping[Series, str] = MappingProxyType({})


@contextmanager
def without_collections() -> Iterator[None]:
    """Without garbage collections meanwhile: what is learnt of series is kept, so that they would find none.

    They take a sixth of a first scrape.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Family:
    """A metric and its series, in the order in which they are exposed; it never changes."""

    def __init__(
        self,
        name: str,
        help_text: str,
        kind: str,
        series: Sequence[Series],
        *,
        is_mixed: bool = False,
        is_library: bool = False,
        collected: Metric | None = None,
    ) -> None:
        self.name = name
        self.help = help_text
        self.type = kind
        self.series = series
        self.is_mixed = is_mixed
        """Whether processes have metrics of different types under this name."""
        self.is_library = is_library
        """Whether a library made it with prometheus_client."""
        self.collected = collected
        """What a library's collector gave at this scrape, with timestamps and exemplars of its own."""

    @cached_property
    def sample_names(self) -> frozenset[str]:
        return frozenset([name for name, _ in self.series])

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that stands in its text, where names are escaped."""
        return frozenset(map(escape_metric_name, self.sample_names | {self.name}))

    def named_for(self, *, openmetrics: bool) -> "Family":
        """The same samples under a name that no other family has.

        A counter's family goes without `_total`. One whose name goes with it stands beside a gauge of the
        shorter name: OpenMetrics, which allows each name once, then gets it without a type.
        """
        counts = self.type == "counter" and self.name.endswith("_total")
        if not counts or any(name != self.name for name, _ in self.series):
            return self
        if openmetrics:
            return Family(self.name, self.help, "unknown", self.series)
        return Family(self.name.removesuffix("_total"), self.help, self.type, self.series)

    def metric(self, values: Iterable[float]) -> Metric:
        metric = Metric(self.name, to_text(self.help), self.type)
        metric.samples = [
            Sample(name, dict(labels), value)
            for (name, labels), value in zip(self.series, values, strict=True)
        ]
        return metric


class Snapshot(NamedTuple):
    """The values of a family's series at one moment."""

    family: Family
    values: Sequence[float]


class Source(Protocol):
    def snapshots(self) -> Iterable[Snapshot]: ...


class Families:
    """What the encoders take for a registry."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class Template:
    """The text of a family with a gap for each value.

    prometheus_client writes one sample of each shape, which is all but the labels' values: so names,
    order and punctuation are its own, in each of its formats.
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
        self._head = "".join([f"{line}\n" for line in takewhile(_is_comment, lines)])
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
        exemplars: Mapping[Series, str] = NONE,
    ) -> None:
        if not self._in_order:
            write(self._encoded(self.family.series, values).encode())
            return
        write(self._head.encode())
        places = {self._places[series]: text for series, text in exemplars.items() if series in self._places}
        # In parts, so that nothing but the bytes of the whole text is ever in memory at once.
        for begin in range(0, len(values), LINES_AT_ONCE):
            numbers = [
                # The comparison excludes infinities and NaN, too.
                repr(value) if -SHORT < value < SHORT else floatToGoString(value)
                for value in values[begin : begin + LINES_AT_ONCE]
            ]
            for place in range(begin, begin + len(numbers)) if places else ():
                numbers[place - begin] += places.get(place, "")
            starts = self._starts[begin : begin + LINES_AT_ONCE]
            write("".join(chain.from_iterable(zip(starts, numbers, strict=True))).encode(errors="replace"))
        if values:
            write(b"\n")

    @cached_property
    def _places(self) -> dict[Series, int]:
        return {series: place for place, series in enumerate(self.family.series)}

    def _encoded(self, series: Iterable[Series], values: Iterable[float]) -> str:
        labelled = [(name, with_constant_labels(labels, self._constant_labels)) for name, labels in series]
        family = Family(self._named.name, self._named.help, self._named.type, labelled)
        return self._encode(Families(family.metric(values))).decode().removesuffix(END_OF_OPENMETRICS)


def with_constant_labels(labels: Iterable[tuple[str, str]], constant_labels: LabelSet) -> LabelSet:
    """Both together. A library may have labels of these names: as Prometheus does it, they become others."""
    found: dict[str, str] = {}
    for name, value in reversed((*labels, *constant_labels)):
        while name in found:
            name = f"exported_{name}"  # noqa: PLW2901 - the next name of the same label
        found[name] = to_text(value)
    return tuple(reversed(found.items()))


class _Pattern:
    """One line of the text, its labels' values being gaps."""

    def __init__(self, line: str) -> None:
        parts = GAP.split(line.rpartition(" ")[0].replace("%", "%%"))
        self._format = "%s".join(parts[::2]) + " "
        self._order = [int(number) for number in parts[1::2]]

    def start(self, series: Series, escaped: "Escaped") -> str:
        """What stands before the value of this series."""
        labels = series[1]
        return self._format % tuple([escaped[labels[number][1]] for number in self._order])


def _shape(series: Series) -> tuple[str, ...]:
    return (series[0], *[name for name, _ in series[1]])


def _with_gaps(series: Series) -> Series:
    return series[0], tuple([(name, f"\0{number}\0") for number, (name, _) in enumerate(series[1])])


def _is_comment(line: str) -> bool:
    return line.startswith("#")


class Escaped(dict[str, str]):
    """The text of each label value: most of them stand in many series."""

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

    @without_collections()
    def text(self, snapshots: Iterable[Snapshot], encode: Encode, content_type: str) -> bytes:
        known = self._templates.get(content_type, {})
        now: dict[str, Template] = {}
        # As large as the last one at once: what grows step by step takes more memory, and moves.
        text = BytesIO(bytes(self._last_size))
        openmetrics = content_type.startswith(OPENMETRICS)
        exemplars = self._exemplars() if openmetrics else {}  # the other format has none
        for family, values in snapshots:
            if family.collected is not None:
                text.write(self._collected(family.collected, encode).encode())
                continue
            template = known.get(family.name)
            if template is None or template.family is not family:
                template = Template(family, encode, self._constant_labels, openmetrics=openmetrics)
            now[family.name] = template
            template.write(text.write, values, exemplars.get(family.name, NONE))
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
        # The format is the client's choice: a client that asks for ever new ones makes nothing grow.
        if content_type not in self._templates and len(self._templates) == MAX_FORMATS:
            self._templates = {}
        self._templates[content_type] = templates
