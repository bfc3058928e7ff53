"""Keeps metrics in this process, for tests that read back what was recorded."""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from threading import RLock
from typing import Self

from metrics_app.adapters.bound import Bound, BoundGauge, BoundHistograms
from metrics_app.adapters.conversion import read_constant_labels, to_amount, to_number
from metrics_app.adapters.detailed_recorder import HistogramsRecorder
from metrics_app.adapters.families import Families
from metrics_app.adapters.names import escape_label_name, escape_metric_name
from metrics_app.adapters.scrape_gauges import ScrapeGaugeSources
from metrics_app.catalogue import (
    DEFAULT_MAX_LABEL_SETS,
    DROPPED_SERIES,
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_REQUESTS_IN_PROGRESS,
    SCRAPE_GAUGES_FAILURES,
    Definition,
    Kind,
)
from metrics_app.ports import ConstantLabels, Labels, MetricsOptions, ScrapeGauges
from metrics_app.recorders import RequestKey

MIN_ERROR_CODE = 400
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


MAX_VALUES = 10_000
"""Values of one series that can be read back; of older ones the counts and the sum are kept."""


class MemorySeries:
    """The values recorded to one series, in order; those of a counter are its increments."""

    __slots__ = ("_counts", "_lock", "_sum", "buckets", "values")

    def __init__(self, definition: Definition, label_values: tuple[str, ...]) -> None:
        self.buckets = definition.find_buckets(label_values)
        self.values: deque[float] = deque()
        self._counts = [0] * (len(self.buckets) + 1)
        self._sum = 0.0
        self._lock = RLock()

    def add(self, amount: float) -> None:
        self.values.append(amount)
        if len(self.values) > MAX_VALUES:
            with self._lock:
                while len(self.values) > MAX_VALUES // 2:
                    oldest = self.values.popleft()
                    self._counts[bisect_left(self.buckets, oldest)] += 1
                    self._sum += oldest

    def set(self, value: float) -> None:
        self.values = deque([value])

    def find_sum(self) -> float:
        with self._lock:
            try:
                return math.fsum([self._sum, *self.values])
            except OverflowError:
                return math.inf  # as a plain addition

    def count_values(self) -> int:
        with self._lock:
            return sum(self._counts) + len(self.values)

    def count_by_bucket(self) -> list[int]:
        """How many values are at most each bound, and how many there are."""
        with self._lock:
            counts = list(self._counts)
            for value in list(self.values):
                counts[bisect_left(self.buckets, value)] += 1
        return list(accumulate(counts))


class InMemoryMetricsAdapter:
    def __init__(
        self,
        constant_labels: ConstantLabels | None = None,
        *,
        max_label_sets: int = DEFAULT_MAX_LABEL_SETS,
    ) -> None:
        self._constant_labels = read_constant_labels(constant_labels)
        self._lock = RLock()
        self._families: Families[MemorySeries] = Families(
            self._constant_labels,
            max_label_sets,
            lock=self._lock,
            build=MemorySeries,
            dropped=self._count_dropped,
        )
        self._sources = ScrapeGaugeSources(self._families.gauge, self._count_failure)
        self._in_progress: Counter[str] = Counter()

    @classmethod
    def configured(cls, options: MetricsOptions) -> Self:
        return cls(options.constant_labels, max_label_sets=options.max_label_sets)

    @classmethod
    def directory_written(cls, _options: MetricsOptions) -> Path | None:
        return None

    @classmethod
    def foreign_files(cls, _directory: Path) -> list[str]:
        return []

    @classmethod
    def unreadable_files(cls, _directory: Path) -> list[str]:
        return []

    @classmethod
    def limitations(cls) -> list[str]:
        return []

    def inc_counter(self, name: str, labels: Labels) -> None:
        self._families.series(Kind.COUNTER, name, labels).add(1.0)

    def observe_histogram(self, name: str, value: float, labels: Labels) -> None:
        amount = to_amount(value)
        self._families.series(Kind.HISTOGRAM, name, labels).add(amount)

    def set_gauge(self, name: str, value: float, labels: Labels) -> None:
        number = to_number(value)
        self._families.series(Kind.GAUGE, name, labels).set(number)

    def bind_counter(self, name: str, labels: Labels) -> Bound[MemorySeries]:
        return self._families.bound(Kind.COUNTER, name, labels)

    def bind_histogram(self, name: str, labels: Labels) -> Bound[MemorySeries]:
        return self._families.bound(Kind.HISTOGRAM, name, labels)

    def bind_histograms(self, series: Sequence[tuple[str, Labels]]) -> BoundHistograms[MemorySeries]:
        return self._families.bound_histograms(series)

    def bind_gauge(self, name: str, labels: Labels) -> BoundGauge[MemorySeries]:
        return self._families.bound_gauge(name, labels)

    def note_exemplar(self, name: str, labels: Labels, value: float, exemplar: Labels) -> None:
        """This adapter has no exemplars."""

    def remove(self, name: str, labels: Labels) -> None:
        self._remove(name, labels)

    def clear(self, name: str) -> None:
        self._remove(name, None)

    def value(self, name: str, labels: Labels) -> float:
        """A counter's total, a gauge's value or the sum of a histogram; 0 when nothing was recorded."""
        series = self._find(name, labels)
        return 0.0 if series is None else series.find_sum()

    def counted(self, name: str) -> list[tuple[dict[str, str], float]]:
        """The labels of each series, and a counter's total, or how many values a histogram observed."""
        found = []
        for family in self._families.all():
            if family.definition.name == name:
                for label_values, series in list(family.series.items()):
                    labels = dict(zip(family.label_names, label_values, strict=True))
                    counts = family.kind is Kind.HISTOGRAM
                    found.append((labels, float(series.count_values()) if counts else series.find_sum()))
        return found

    def observations(self, name: str, labels: Labels) -> list[float]:
        """The last values that a histogram observed, in order."""
        series = self._find(name, labels)
        return [] if series is None else list(series.values)

    def _find(self, name: str, labels: Labels) -> MemorySeries | None:
        for family in self._families.all():
            if family.definition.name == name:
                return family.series.get(tuple([labels.get(label, "") for label in family.label_names]))
        return None

    def request_recorder(self) -> "InMemoryMetricsAdapter":
        return self

    def begin(self, method: str) -> None:
        self._move_in_progress(method, 1)

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str = "",  # noqa: ARG002 - exemplars are not kept
        ended: float | None = None,  # noqa: ARG002 - no look at the clock is due
    ) -> None:
        method, route, code = request
        labels = {"method": method, "route": route, "code": str(int(code))}
        self.inc_counter(HTTP_REQUESTS, labels)
        self.observe_histogram(HTTP_REQUEST_DURATION, seconds, labels)
        if code >= MIN_ERROR_CODE:
            self.inc_counter(HTTP_REQUEST_ERRORS, labels)
        self._move_in_progress(method, -1)

    def cancel(self, method: str) -> None:
        self._move_in_progress(method, -1)

    def _move_in_progress(self, method: str, step: int) -> None:
        with self._lock:
            self._in_progress[method] += step
            self.set_gauge(HTTP_REQUESTS_IN_PROGRESS, self._in_progress[method], {"method": method})

    def detailed_recorder(self, histograms: Sequence[str]) -> HistogramsRecorder:
        found = self._families.request_histograms(histograms, self.bind_histograms)
        return HistogramsRecorder(self, found)

    def register_scrape_gauges(self, read: ScrapeGauges) -> None:
        self._sources.register(read)

    def get_http_handler(self) -> "InMemoryMetricsAdapter":
        return self

    def __call__(self, _accept: str = "", /) -> bytes:
        """The exposition, always in the text format."""
        lines = self._lines_of_scrape_gauges()
        for family in self._families.all():
            lines += _heading(family.definition)
            for label_values, series in list(family.series.items()):
                labels = dict(zip(family.label_names, label_values, strict=True))
                for name, more, value in _samples(family.definition, series):
                    lines.append(self._line(name, labels | more, value))
        return "".join(f"{line}\n" for line in lines).encode()

    def content_type(self, _accept: str = "", /) -> str:
        return TEXT_FORMAT

    def announce(self) -> None:
        """There is one process."""

    def close(self) -> None:
        """This adapter holds nothing."""

    def _lines_of_scrape_gauges(self) -> list[str]:
        found: dict[str, list[str]] = {}
        for definition, sample in self._sources.read():
            lines = found.setdefault(sample.name, _heading(definition))
            lines.append(self._line(sample.name, dict(sample.labels), sample.value))
        return [line for lines in found.values() for line in lines]

    def _line(self, name: str, labels: dict[str, str], value: float) -> str:
        everything = sorted((labels | self._constant_labels).items())
        text = ",".join(f'{escape_label_name(label)}="{_escaped(value)}"' for label, value in everything)
        name = escape_metric_name(name)
        return f"{name}{{{text}}} {value}" if text else f"{name} {value}"

    def _remove(self, name: str, labels: Labels | None) -> None:
        self._families.let_go(name, labels)

    def _count_dropped(self, name: str) -> None:
        self.inc_counter(DROPPED_SERIES, {"metric": name})

    def _count_failure(self, source: str, reason: str) -> None:
        self.inc_counter(SCRAPE_GAUGES_FAILURES, {"source": source, "reason": reason})


def _exposed_name(definition: Definition) -> str:
    return definition.name.removesuffix("_total") + "_total" * (definition.kind is Kind.COUNTER)


def _heading(definition: Definition) -> list[str]:
    name = escape_metric_name(_exposed_name(definition))
    return [f"# HELP {name} {definition.help}", f"# TYPE {name} {definition.kind}"]


def _samples(definition: Definition, series: MemorySeries) -> Iterator[tuple[str, dict[str, str], float]]:
    if definition.kind is not Kind.HISTOGRAM:
        yield _exposed_name(definition), {}, series.find_sum()
        return
    *counts, total = series.count_by_bucket()
    for bound, count in zip(series.buckets, counts, strict=True):
        yield f"{definition.name}_bucket", {"le": str(float(bound))}, float(count)
    yield f"{definition.name}_bucket", {"le": "+Inf"}, float(total)
    yield f"{definition.name}_count", {}, float(total)
    yield f"{definition.name}_sum", {}, series.find_sum()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
