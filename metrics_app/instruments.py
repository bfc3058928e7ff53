"""The metrics that an application declares; each passes its recordings to the adapter of the process."""

import time
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from metrics_app import current, misuse
from metrics_app.adapters.conversion import to_number, to_text
from metrics_app.adapters.names import check_exemplar
from metrics_app.around import Exceptions, InProgress, Timer
from metrics_app.catalogue import Definition
from metrics_app.ports import GaugeSample, MetricKindError, MetricLabelsError, MetricsPort
from metrics_app.recorders import BoundCounter, BoundGauge, BoundHistogram

MAX_KEPT_SERIES = 2000
"""How many series each instrument keeps to find them by their labels without any work."""


class Nowhere:
    """Ignores recordings with wrong labels, which were reported."""

    def inc(self, amount: float = 1.0) -> None: ...

    def observe(self, value: float) -> None: ...

    def set(self, value: float) -> None: ...

    def move(self, amount: float) -> None: ...


NOWHERE = Nowhere()
NONE = object()

Bound = TypeVar("Bound")


class Series(Generic[Bound]):
    """One series of a metric, bound again if the process has another adapter."""

    def __init__(self, definition: Definition, labels: Mapping[str, str] | None) -> None:
        self._definition = definition
        self._labels = labels
        self._adapter: object = NONE
        self._bound: Bound

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """Itself: a form or a field that holds it may be copied as a whole."""
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self._definition, self._labels)

    def _bind(self, metrics: MetricsPort, labels: Mapping[str, str]) -> Bound:
        raise NotImplementedError

    def _find(self) -> Bound:
        metrics = current.get_metrics()
        nowhere: Any = NOWHERE
        bound = nowhere if self._labels is None else self._bind(metrics, self._labels)
        self._bound, self._adapter = bound, metrics
        return bound

    def _note(self, value: float, exemplar: Mapping[str, str]) -> None:
        if self._labels is not None:
            name = self._definition.name
            labels = {label: to_text(text) for label, text in exemplar.items()}
            check_exemplar(name, labels)
            current.get_metrics().note_exemplar(name, self._labels, to_number(value), labels)

    def _report(self, error: Exception) -> None:
        misuse.report(self._definition.name, error)


class CounterSeries(Series[BoundCounter]):
    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Add a finite amount of 0 or above; `exemplar` has labels such as `trace_id`."""
        try:
            (self._bound if self._adapter is current.adapter else self._find()).inc(amount)
            if exemplar:
                self._note(amount, exemplar)
        except Exception as error:  # noqa: BLE001 - whatever the amount or its conversion raises
            self._report(error)

    def count_exceptions(self, *types: type[BaseException]) -> Exceptions:
        """A context manager and decorator that counts exceptions of these types, of any if none is given."""
        return Exceptions(types or (Exception,), lambda _error: self.inc())

    def _bind(self, metrics: MetricsPort, labels: Mapping[str, str]) -> BoundCounter:
        return metrics.bind_counter(self._definition.name, labels)


class HistogramSeries(Series[BoundHistogram]):
    def observe(self, value: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Record a finite value of 0 or above; `exemplar` has labels such as `trace_id`."""
        try:
            (self._bound if self._adapter is current.adapter else self._find()).observe(value)
            if exemplar:
                self._note(value, exemplar)
        except Exception as error:  # noqa: BLE001 - whatever the value or its conversion raises
            self._report(error)

    def time(self) -> Timer:
        """A context manager and decorator that records how many seconds each call takes."""
        return Timer(self.observe)

    def _bind(self, metrics: MetricsPort, labels: Mapping[str, str]) -> BoundHistogram:
        return metrics.bind_histogram(self._definition.name, labels)


class GaugeSeries(Series[BoundGauge]):
    def set(self, value: float) -> None:
        """Set the value, which may be any number."""
        try:
            (self._bound if self._adapter is current.adapter else self._find()).set(value)
        except Exception as error:  # noqa: BLE001 - whatever the value or its conversion raises
            self._report(error)

    def inc(self, amount: float = 1.0) -> None:
        """Add an amount to the value that this process has set; it begins with 0."""
        try:
            if self._definition.merge.is_timed:
                self._refuse_move()
            (self._bound if self._adapter is current.adapter else self._find()).move(amount)
        except Exception as error:  # noqa: BLE001 - whatever the amount or its conversion raises
            self._report(error)

    def _refuse_move(self) -> None:
        raise MetricKindError(
            f"{self._definition.name!r} shows the value that some process set last, to which nothing can be "
            f"added: declare it with merge='sum_of_living' or another sum."
        )

    def dec(self, amount: float = 1.0) -> None:
        """Subtract an amount; as `inc`."""
        try:
            # Converted to a float first, because the negative of an unsigned number is a large one.
            negative = -to_number(amount)
        except Exception as error:  # noqa: BLE001 - whatever the amount or its conversion raises
            self._report(error)
        else:
            self.inc(negative)

    def set_to_current_time(self) -> None:
        """Set the value to the present Unix time, in seconds."""
        self.set(time.time())

    def track_inprogress(self) -> InProgress:
        """A context manager and decorator that adds one as long as the block or call lasts."""
        return InProgress(self.inc)

    def time(self) -> Timer:
        """A context manager and decorator that sets the gauge to the seconds that the last call took."""
        return Timer(self.set)

    def _bind(self, metrics: MetricsPort, labels: Mapping[str, str]) -> BoundGauge:
        return metrics.bind_gauge(self._definition.name, labels)


class Labelled(Series[Any]):
    """A metric: its series by their labels, or, without labels, its only series."""

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition, {})
        self._names = definition.label_names
        self._kept: dict[tuple[object, ...], Self] = {}

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self._definition,)

    @property
    def definition(self) -> Definition:
        return self._definition

    def _series(self, values: tuple[object, ...], labels: Mapping[str, object]) -> Any:
        """The series with these label values."""
        try:
            if labels and not values and len(labels) == len(self._names):
                values, labels = tuple([labels[name] for name in self._names]), {}
            if not labels:
                return self._kept[values]
        except (KeyError, TypeError):  # the first time, wrong labels, or values that are not hashable
            pass
        return self._make_series(values, labels)

    def _make_series(self, values: tuple[object, ...], labels: Mapping[str, object]) -> Any:
        try:
            texts = self._texts(values, labels)
        except Exception as error:  # noqa: BLE001 - whatever a label value raises as text
            self._report(error)
            return self._made(None)
        made = self._made(texts)
        # 1, 1.0 and True are one key but three texts, so only values that are text are kept.
        if values and all(type(value) is str for value in values):
            if len(self._kept) >= MAX_KEPT_SERIES:
                self._kept = {}
            self._kept[values] = made
        return made

    def _made(self, labels: Mapping[str, str] | None) -> Any:
        raise NotImplementedError

    def _texts(self, values: tuple[object, ...], labels: Mapping[str, object]) -> dict[str, str]:
        given = dict(zip(self._names, values, strict=False)) if values else labels
        names = self._names
        if (values and (labels or len(values) != len(names))) or given.keys() != set(names):
            got = f"the values {values!r}" if values and not labels else f"{[*map(str, values), *labels]!r}"
            raise MetricLabelsError(
                f"{self._definition.name!r} got {got}, but it has the labels {list(names)!r}: give each of "
                f"them once, by name or in this order."
            )
        return {name: to_text(given[name]) for name in names}

    def remove(self, /, *values: object, **labels: object) -> None:
        """Stop exposing the series with these labels, for all processes that recorded it.

        Later recordings with them begin at zero.
        """
        try:
            current.get_metrics().remove(self._definition.name, self._texts(values, labels))
        except Exception as error:  # noqa: BLE001 - whatever a label value raises as text
            self._report(error)

    def clear(self) -> None:
        """The same for every series of the metric."""
        try:
            current.get_metrics().clear(self._definition.name)
        except Exception as error:  # noqa: BLE001 - a directory that cannot be written, for example
            self._report(error)


class Counter(Labelled, CounterSeries):
    """Counts events; it only increases."""

    def labels(self, /, *values: object, **labels: object) -> CounterSeries:
        """The series with these label values, by name or in the order of the declaration."""
        found: CounterSeries = self._series(values, labels)
        return found

    def count_exceptions(
        self, *types: type[BaseException], by: str | None = None, **labels: object
    ) -> Exceptions:
        """A context manager and decorator that counts exceptions of these types, of any if none is given.

        `by` names the label that gets the name of an exception's class; `labels` are the others.
        """

        def record(error: BaseException) -> None:
            of_type = {} if by is None else {by: type(error).__name__}
            (self.labels(**labels, **of_type) if labels or of_type else self).inc()

        return Exceptions(types or (Exception,), record)

    def _made(self, labels: Mapping[str, str] | None) -> CounterSeries:
        return CounterSeries(self._definition, labels)


class Histogram(Labelled, HistogramSeries):
    """Counts values, such as durations or sizes, by their magnitude."""

    def labels(self, /, *values: object, **labels: object) -> HistogramSeries:
        """The series with these label values, by name or in the order of the declaration."""
        found: HistogramSeries = self._series(values, labels)
        return found

    def _made(self, labels: Mapping[str, str] | None) -> HistogramSeries:
        return HistogramSeries(self._definition, labels)


class Gauge(Labelled, GaugeSeries):
    """Shows a value that rises and falls."""

    def labels(self, /, *values: object, **labels: object) -> GaugeSeries:
        """The series with these label values, by name or in the order of the declaration."""
        found: GaugeSeries = self._series(values, labels)
        return found

    def sample(self, value: float, *values: object, **labels: object) -> GaugeSample:
        """The present value of one series, for a function with `read_at_scrape` to return.

        Raises:
            MetricLabelsError: the labels are not those of the metric.
        """
        return GaugeSample(self._definition.name, self._texts(values, labels), value)

    def _made(self, labels: Mapping[str, str] | None) -> GaugeSeries:
        return GaugeSeries(self._definition, labels)


Instrument = Counter | Gauge | Histogram
