"""The series of each metric: found by their labels, created on first use, and bounded in number."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

from metrics_app.catalogue import CATALOGUE, DROPPED_SERIES, OVERFLOW, Definition, Kind, first_used
from metrics_app.ports import GaugeSample, InvalidMetricNameError, Labels, MetricKindError, MetricLabelsError


class Recorded(Protocol):
    """A series; who adds to it holds the lock of the families."""

    def add(self, amount: float, /) -> None: ...


Series = TypeVar("Series", bound=Recorded)

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
LEFT_OUT_WHEN_EMPTY = frozenset({"method", "route", "code"})
RESERVED = frozenset({"le", "pid", "worker"})


class Family(Generic[Series]):
    """One metric and its series by label values, in the order of the definition's label names."""

    __slots__ = ("definition", "kind", "label_names", "series", "stored")

    def __init__(self, definition: Definition, stored: set[tuple[str, ...]]) -> None:
        self.definition = definition
        self.kind = definition.kind
        self.label_names = definition.label_names
        self.series: dict[tuple[str, ...], Series] = {}
        self.stored = stored


class Families(Generic[Series]):
    """Every metric of an adapter.

    `lock` is re-entrant, for a finaliser that the garbage collector runs may record something in the
    midst of a recording; `build` makes a series; `stored` tells which label sets of a metric exist
    already, left by an earlier process; `dropped` hears of each recording that exceeds the limit, by
    the metric's name; `unwritable` gives what takes the recordings while a series cannot be built.
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
        unwritable: Callable[[OSError], Series] | None = None,
    ) -> None:
        self._constant_labels = constant_labels
        self._max_label_sets = max_label_sets
        self._build = build
        self._dropped = dropped
        self._stored = stored
        self._unwritable = unwritable
        self.lock = lock
        self._families: dict[str, Family[Series]] = {}

    @property
    def generation(self) -> object:
        """Another object each time that `forget` has made every series void."""
        return self._families

    def bound(self, kind: Kind, name: str, labels: Labels) -> "Bound[Series]":
        """The series of this label set, to record to it without looking it up; built with its first value.

        Raises:
            MetricsError: the name, the type or the label names are not those of the metric.
        """
        self.definition(kind, name, labels)
        return Bound(self, kind, name, labels)

    def forget(self, lock: AbstractContextManager[bool]) -> None:
        """Start anew: in a child that fork made another thread may have held the lock."""
        self.lock = lock
        self._families = {}

    def all(self) -> list[Family[Series]]:
        return list(self._families.values())

    def series(self, kind: Kind, name: str, labels: Labels) -> Series:
        return self.locate(kind, name, labels)[0]

    def locate(self, kind: Kind, name: str, labels: Labels) -> tuple[Series, bool]:
        """The series, and whether it is this label set's own (else it is the overflow series).

        Raises:
            MetricsError: the name, the type or the label names are not those of the metric.
        """
        family = self._families.get(name)
        if family is not None and family.kind is kind and len(labels) == len(family.label_names):
            try:
                series = family.series.get(tuple([labels[label] for label in family.label_names]))
            except KeyError:
                series = None
            if series is not None:
                return series, True
        try:
            return self._create(kind, name, labels)
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
            family = self._families.get(name)
            definition = family.definition if family else self._define(kind, name, labels)
        if definition.kind is not kind:
            raise MetricKindError(
                f"{name!r} is used as a {kind}, but it is a {definition.kind}: choose another name."
            )
        self._values(definition, labels)
        return definition

    def gauge(self, sample: GaugeSample) -> Definition:
        """The definition of a gauge that is read at the scrape; raises as `definition` does."""
        return self.definition(Kind.GAUGE, sample.name, sample.labels)

    def _define(self, kind: Kind, name: str, labels: Labels) -> Definition:
        if name in CATALOGUE:
            return CATALOGUE[name]
        # The name without `_total` is that of a counter's family.
        if not METRIC_NAME.fullmatch(name.removesuffix("_total")):
            raise InvalidMetricNameError(
                f"{name!r} is no metric name: letters, digits, '_' and ':', and no digit first, "
                f"as in 'http_requests_total'."
            )
        self._refuse_clash(kind, name)
        names = [label for label, value in labels.items() if self._constant_labels.get(label) != value]
        for label in names:
            if not LABEL_NAME.fullmatch(label) or label in RESERVED or label in self._constant_labels:
                raise InvalidMetricNameError(
                    f"{label!r} is no label that {name!r} may have: letters, digits and '_', no digit "
                    f"and no '__' first, and none of {', '.join(sorted(RESERVED))} or of the constant labels."
                )
        return first_used(name, kind, names)

    def _refuse_clash(self, kind: Kind, name: str) -> None:
        """A counter takes two names, 'orders' and 'orders_total', whichever of them it is called by."""
        short = name.removesuffix("_total")
        for other in (short, f"{short}_total", f"{name}_total"):
            family = self._families.get(other)
            known = family.definition if family else CATALOGUE.get(other)
            if known and (known.kind is Kind.COUNTER) is not (kind is Kind.COUNTER):
                raise MetricKindError(
                    f"{name!r} is used as a {kind}, but {other!r} is a {known.kind}, and a counter is the "
                    f"same metric with and without '_total': choose another name."
                )

    def _values(self, definition: Definition, labels: Labels) -> tuple[str, ...]:
        names = definition.label_names
        surplus = {
            label
            for label, value in labels.items()
            if label not in names and self._constant_labels.get(label) != value
        }
        missing = {label for label in names if label not in labels} - LEFT_OUT_WHEN_EMPTY
        if surplus or missing:
            raise MetricLabelsError(
                f"{definition.name!r} got the labels {sorted(labels)!r}, but it has {sorted(names)!r}: "
                f"give each of them, and no other, in every call."
            )
        # Half of a surrogate pair, as in a path that is no UTF-8, cannot be exposed: '?' can.
        return tuple(str(labels.get(label, "")).encode(errors="replace").decode() for label in names)

    def _create(self, kind: Kind, name: str, labels: Labels) -> tuple[Series, bool]:
        with self.lock:
            definition = self.definition(kind, name, labels)
            family = self._families.get(name)
            if family is None:
                family = self._families[name] = Family(definition, self._stored(definition))
            values = self._values(definition, labels)
            fits = values in family.series or values in family.stored or self._has_room(family)
            if not fits:
                values = (OVERFLOW,) * len(values)
            series = family.series.get(values)
            if series is None:
                series = family.series[values] = self._build(definition, values)
                family.stored.add(values)
        if not fits and name != DROPPED_SERIES:
            self._dropped(name)
        return series, fits

    def _has_room(self, family: Family[Series]) -> bool:
        overflow = (OVERFLOW,) * len(family.label_names)
        return len(family.stored) - (overflow in family.stored) < self._max_label_sets


class Bound(Generic[Series]):
    """One series, looked up once, and again where its adapter has forgotten it: after a fork or a close."""

    __slots__ = ("_families", "_generation", "_kind", "_labels", "_name", "_series")

    def __init__(self, families: Families[Series], kind: Kind, name: str, labels: Labels) -> None:
        self._families = families
        self._kind = kind
        self._name = name
        self._labels = dict(labels)
        self._generation: object = None
        self._series: Series | None = None

    def observe(self, value: float) -> None:
        families = self._families
        series = self._series
        if series is None or self._generation is not families.generation:
            series = self._look_up()
        with families.lock:
            series.add(value)

    def inc(self, amount: float = 1.0) -> None:
        self.observe(amount)

    def _look_up(self) -> Series:
        generation = self._families.generation
        series, own = self._families.locate(self._kind, self._name, self._labels)
        # What goes to the overflow series is looked up each time: so it is counted each time.
        self._series, self._generation = series, generation if own else None
        return series
