"""The series of each metric: found by their labels, created on first use, and bounded in number."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import monotonic, perf_counter
from typing import Generic, TypeVar, cast

from metrics_app.adapters.bound import Bound, BoundGauge, BoundHistograms, Recorded
from metrics_app.adapters.deferred import Deferred, DeferredRecording
from metrics_app.adapters.detailed_recorder import Bind, RequestHistograms
from metrics_app.adapters.label_rules import LabelRules
from metrics_app.adapters.names import ExposedNames, catalogue_definition
from metrics_app.catalogue import DROPPED_SERIES, OVERFLOW, Definition, Kind
from metrics_app.ports import GaugeSample, Labels, MetricKindError, MetricsError

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_SEARCHES = 1.0
"""For label sets that another process has removed, where there is no room for a new one."""


Series = TypeVar("Series", bound=Recorded)


class ReentrantUseError(OSError):
    """A finaliser or signal handler has interrupted a change, and asks for what is being changed."""


class Family(Generic[Series]):
    """One metric and its series by label values, in the order of the definition's label names."""

    __slots__ = ("definition", "kind", "label_names", "next_search", "series", "stored")

    def __init__(self, definition: Definition, stored: set[tuple[str, ...]]) -> None:
        self.definition = definition
        self.kind = definition.kind
        self.label_names = definition.label_names
        self.series: dict[tuple[str, ...], Series] = {}
        self.stored = stored
        self.next_search = 0.0


class Families(Generic[Series]):
    """Every metric of an adapter.

    `lock` is re-entrant, because a finaliser that the garbage collector runs, or a signal handler, may record
    during a recording. `build` makes a series. `stored` returns the label sets of a metric that an earlier
    process has left, and `removed` those that another process has removed. `dropped` is called with the
    metric's name for each recording that exceeds the limit. `unwritable` returns what takes the recordings
    while a series cannot be built.
    """

    def __init__(
        self,
        constant_labels: Mapping[str, str],
        max_label_sets: int,
        *,
        lock: AbstractContextManager[bool],
        build: Callable[[Definition, tuple[str, ...]], Series],
        dropped: Callable[[str], None],
        stored: Callable[[Definition], set[tuple[str, ...]]] = lambda _definition: set(),
        removed: Callable[[Definition], set[tuple[str, ...]]] = lambda _definition: set(),
        unwritable: Callable[[OSError], Series] | None = None,
    ) -> None:
        self._labels = LabelRules(constant_labels)
        self._max_label_sets = max_label_sets
        self._build = build
        self._dropped = dropped
        self._stored = stored
        self._removed = removed
        self._unwritable = unwritable
        self.next_look = math.inf
        """When `look` shall be called by the next recording, by the clock `time.perf_counter`."""
        self.look: Callable[[], None] = lambda: None
        self.after_fork(lock)
        self.forget()

    def after_fork(self, lock: AbstractContextManager[bool]) -> None:
        """Start again in a forked child, where another thread may have held the lock during a change."""
        self.lock = lock
        self.is_changing = False
        self._is_catching_up = False
        self._deferred: deque[DeferredRecording] = deque()

    def forget(self) -> None:
        """Forget every series."""
        self._names = ExposedNames()
        self._families: dict[str, Family[Series]] = {}
        self.generation: object = self._families
        """Another object each time that this has made every series void."""

    def bound(self, kind: Kind, name: str, labels: Labels) -> Bound[Series]:
        """The series of this label set, for recording without a look-up; it is built with its first value.

        Raises:
            MetricsError: the name, the type or the label names are not those of the metric.
        """
        self.definition(kind, name, labels)
        return Bound(self, kind, name, labels)

    def bound_gauge(self, name: str, labels: Labels) -> BoundGauge[Series]:
        """The same for a gauge."""
        self.definition(Kind.GAUGE, name, labels)
        return BoundGauge(self, Kind.GAUGE, name, labels)

    def bound_histograms(self, series: Sequence[tuple[str, Labels]]) -> BoundHistograms[Series]:
        """The same for several histograms that are recorded together."""
        for name, labels in series:
            self.definition(Kind.HISTOGRAM, name, labels)
        return BoundHistograms(self, series)

    def request_histograms(self, names: Sequence[str], bind: Bind) -> RequestHistograms:
        """Histograms of requests, with at most as many label sets as a metric may have."""
        return RequestHistograms(bind, names, self._max_label_sets)

    def let_go(self, name: str, labels: Labels | None) -> Definition | None:
        """Drop one series of a metric or, without labels, all of them; return the metric's definition.

        None if the metric is not declared.

        Raises:
            MetricsError: the label names are not those of the metric.
            ReentrantUseError: the caller has interrupted a change.
        """
        with self.changing():
            family = self._find(Kind.COUNTER, name)
            definition = family.definition if family else catalogue_definition(name, Kind.COUNTER)
            if definition is None:
                return None
            if labels is None:
                lost = list(family.series) if family else []
            else:
                lost = [self._labels.find_values(definition, labels)]
            if family is not None:
                for values in lost:
                    family.series.pop(values, None)
                    family.stored.discard(values)
                if labels is None:
                    family.stored.clear()
                self.generation = object()
            return definition

    def find_definition(self, name: str) -> Definition | None:
        """The definition of a counter or histogram that was declared or recorded; None if it was not."""
        family = self._find(Kind.COUNTER, name)
        return family.definition if family else catalogue_definition(name, Kind.COUNTER)

    def written_labels(self, definition: Definition, labels: Labels | None) -> dict[str, str] | None:
        """Every label of the definition as text, as it is recorded; None for None."""
        if labels is None:
            return None
        return dict(zip(definition.label_names, self._labels.find_values(definition, labels), strict=True))

    def all(self) -> list[Family[Series]]:
        return list({id(family): family for family in list(self._families.values())}.values())

    def series(self, kind: Kind, name: str, labels: Labels) -> Series:
        return self.locate(kind, name, labels)[0]

    def locate(self, kind: Kind, name: str, labels: Labels) -> tuple[Series, bool]:
        """The series, and whether it is this label set's own (else it is the overflow series).

        Raises:
            MetricsError: the name, the type or the label names are not those of the metric.
        """
        if perf_counter() >= self.next_look:
            self.look()
        family = self._families.get(name)
        if family is not None and family.kind is kind and len(labels) == len(family.label_names):
            try:
                series = family.series.get(tuple([labels[label] for label in family.label_names]))
            except (KeyError, TypeError):
                series = None
            if series is not None:
                return series, True
        try:
            return self._create(kind, name, labels)
        except ReentrantUseError:
            return cast("Series", Deferred(self._deferred, kind, name, labels)), False
        except OSError as error:
            if self._unwritable is None:
                raise
            return self._unwritable(error), False

    def definition(self, kind: Kind, name: str, labels: Labels) -> Definition:
        """The definition by which a sample with these labels may be written.

        Raises:
            MetricsError: the name, the type or the label names are not those of the metric.
        """
        with self.lock:
            family = self._find(kind, name)
            definition = family.definition if family else self._labels.define(kind, name, labels, self._names)
        if definition.kind is not kind:
            raise MetricKindError(
                f"{name!r} is used as a {kind}, but it is a {definition.kind}: choose another name."
            )
        self._labels.find_values(definition, labels)
        return definition

    def gauge(self, sample: GaugeSample) -> Definition:
        """The definition of a gauge that is read at the scrape; raises as `definition` does."""
        if sample.name in self._families:
            raise MetricKindError(
                f"{sample.name!r} is read at the scrape and recorded, too: choose another name for one."
            )
        return self.definition(Kind.GAUGE, sample.name, sample.labels)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change what exists. Recordings that interrupt the change are made after it.

        Raises:
            ReentrantUseError: the caller itself has interrupted such a change.
        """
        with self.lock:
            if self.is_changing:
                raise ReentrantUseError
            try:
                self.is_changing = True
                yield
            finally:
                self.is_changing = False
        self.catch_up()

    def catch_up(self) -> None:
        """Make the recordings that had to wait for a change."""
        # In their order, so not again from within the series that this makes.
        while self._deferred and not (self.is_changing or self._is_catching_up):
            try:
                self._is_catching_up = True
                while self._deferred:
                    self._record_deferred(*self._deferred.popleft())
            except IndexError:
                continue  # another thread was faster
            finally:
                self._is_catching_up = False

    def _record_deferred(self, kind: Kind, name: str, labels: Labels, operation: str, value: float) -> None:
        try:
            series = self.series(kind, name, labels)
            with self.lock:
                getattr(series, operation)(value)
        except MetricsError as error:
            logger.warning("Not recorded: %s", error)

    def _find(self, kind: Kind, name: str) -> Family[Series] | None:
        family = self._families.get(name)
        if family is None and kind is Kind.COUNTER:
            twin = name.removesuffix("_total") if name.endswith("_total") else f"{name}_total"
            found = self._families.get(twin)
            family = found if found is not None and found.kind is kind else None
        return family

    def _create(self, kind: Kind, name: str, labels: Labels) -> tuple[Series, bool]:
        definition = self.definition(kind, name, labels)
        values = self._labels.find_values(definition, labels)
        with self.changing():
            family = self._family(kind, name, definition)
            fits = values in family.series or values in family.stored or self._make_room(family)
            if not fits:
                values = (OVERFLOW,) * len(values)
            series = family.series.get(values)
            if series is None:
                series = family.series[values] = self._build(definition, values)
                family.stored.add(values)
        if not fits and name != DROPPED_SERIES:
            self._dropped(name)
        return series, fits

    def _family(self, kind: Kind, name: str, definition: Definition) -> Family[Series]:
        family = self._find(kind, name)
        if family is None:
            # Again: another thread may have taken a name since the definition was made.
            self._names.take(name, kind)
            family = Family(definition, self._stored(definition))
        self._families[name] = family
        return family

    def _make_room(self, family: Family[Series]) -> bool:
        if self._has_room(family):
            return True
        now = monotonic()
        # Not for each recording, because there are many when there is no room.
        if now >= family.next_search:
            family.next_search = now + SECONDS_BETWEEN_SEARCHES
            for values in self._removed(family.definition) & family.stored:
                family.series.pop(values, None)
                family.stored.discard(values)
                self.generation = object()
        return self._has_room(family)

    def _has_room(self, family: Family[Series]) -> bool:
        overflow = (OVERFLOW,) * len(family.label_names)
        return len(family.stored) - (overflow in family.stored) < self._max_label_sets
