"""Series that are looked up once, and again after a fork or a close, when the adapter has forgotten them."""

import math
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from metrics_app.adapters.conversion import to_amount, to_number, to_step
from metrics_app.catalogue import Kind
from metrics_app.ports import Labels

if TYPE_CHECKING:
    from metrics_app.adapters.families import Families


class Recorded(Protocol):
    """A series; callers that add to it hold the lock of the families."""

    def add(self, amount: float, /) -> None: ...


Series = TypeVar("Series", bound=Recorded)


class Settable(Protocol):
    """A gauge; callers that set it hold the lock of the families."""

    def set(self, value: float, /) -> None: ...


class Bound(Generic[Series]):
    """One series."""

    __slots__ = ("_families", "_generation", "_kind", "_labels", "_name", "_series")

    def __init__(self, families: "Families[Series]", kind: Kind, name: str, labels: Labels) -> None:
        self._families = families
        self._kind = kind
        self._name = name
        self._labels = dict(labels)
        self._generation: object = None
        self._series: Series | None = None

    def observe(self, value: float) -> None:
        if type(value) is not float or not 0.0 <= value < math.inf:
            value = to_amount(value)
        families = self._families
        if perf_counter() >= families.next_look:
            families.look()
        series = self._series
        if series is None or self._generation is not families.generation:
            series = self._look_up()
        with families.lock:
            series.add(value)

    def inc(self, amount: float = 1.0) -> None:
        self.observe(amount)

    def _current(self) -> Series:
        families = self._families
        if perf_counter() >= families.next_look:
            families.look()
        series = self._series
        return self._look_up() if series is None or self._generation is not families.generation else series

    def _look_up(self) -> Series:
        generation = self._families.generation
        series, own = self._families.locate(self._kind, self._name, self._labels)
        # A recording for the overflow series is looked up each time, so that it is counted each time.
        self._series, self._generation = series, generation if own else None
        return series


class BoundGauge(Bound[Series]):
    """The same for a gauge."""

    __slots__ = ()

    def set(self, value: float) -> None:
        number = to_number(value)
        series = cast("Settable", self._current())
        with self._families.lock:
            series.set(number)

    def move(self, amount: float) -> None:
        number = to_step(amount)
        series = self._current()
        with self._families.lock:
            series.add(number)


class BoundHistograms(Generic[Series]):
    """Several histograms that are recorded together."""

    __slots__ = ("_families", "_found", "_series")

    def __init__(self, families: "Families[Series]", series: Sequence[tuple[str, Labels]]) -> None:
        self._families = families
        self._series = [(name, dict(labels)) for name, labels in series]
        # In one object, because another thread may replace it: the generation, and the series found then.
        self._found: tuple[object, list[Series]] = None, []

    def observe(self, values: Sequence[float | None]) -> None:
        families = self._families
        if perf_counter() >= families.next_look:
            families.look()
        generation, found = self._found
        if generation is not families.generation:
            found = self._look_up()
        with families.lock:
            for series, value in zip(found, values, strict=True):
                if value is not None:
                    series.add(value)

    def _look_up(self) -> list[Series]:
        generation = self._families.generation
        located = [self._families.locate(Kind.HISTOGRAM, *series) for series in self._series]
        found = [series for series, _ in located]
        # A recording for an overflow series is looked up each time, so that it is counted each time.
        self._found = generation if all(own for _, own in located) else None, found
        return found
