"""What is exposed of a metric at one moment."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple, Protocol

from prometheus_client import Metric
from prometheus_client.samples import Sample

from metrics_app.adapters.conversion import to_text
from metrics_app.adapters.names import escape_metric_name

Encode = Callable[["Families"], bytes]
"""One of prometheus_client's encoders."""
LabelSet = tuple[tuple[str, str], ...]
Series = tuple[str, LabelSet]
"""The name of a sample and its labels."""


@contextmanager
def without_collections() -> Iterator[None]:
    """Disable garbage collections inside the block, which would find nothing, because new objects are kept.

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
        """Every name in its text, if names are escaped."""
        return frozenset(map(escape_metric_name, self.sample_names | {self.name}))

    def named_for(self, *, openmetrics: bool) -> "Family":
        """The same samples, under a name that no other family has.

        The name of a counter's family has no `_total`. If it has, there is also a gauge with the shorter
        name: OpenMetrics, which allows each name once, then gets the counter without a type.
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
    """A list of families that encoders accept as a registry."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def with_constant_labels(labels: Iterable[tuple[str, str]], constant_labels: LabelSet) -> LabelSet:
    """Both label sets. A library's labels with the same names are renamed, as Prometheus does."""
    found: dict[str, str] = {}
    for name, value in reversed((*labels, *constant_labels)):
        while name in found:
            name = f"exported_{name}"  # noqa: PLW2901 - the next name of the same label
        found[name] = to_text(value)
    return tuple(reversed(found.items()))
