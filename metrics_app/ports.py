"""What the product needs from a metrics library. Only adapters know a library."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, Self, runtime_checkable

from metrics_app.recorders import (
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    BoundHistograms,
    DetailedRecorder,
    HttpHandler,
    RequestRecorder,
)

Labels = Mapping[str, str]
"""Label names to values, as `MetricsLabels.to_dict()` gives them."""


@dataclass(frozen=True, slots=True)
class MetricsLabels:
    service: str = ""
    instance: str = ""
    version: str = ""
    method: str = ""
    route: str = ""
    code: str = ""

    def to_dict(self) -> dict[str, str]:
        """Every label that is not empty, because an empty label does not exist for Prometheus."""
        return {name: value for name, value in asdict(self).items() if value}

    def constant_labels(self) -> dict[str, str]:
        """The labels that stand on every sample of a process."""
        return {"service": self.service, "instance": self.instance, "version": self.version}


ConstantLabels = MetricsLabels | Mapping[str, str]
"""What an adapter takes: the dataclass, or names and values as its `constant_labels()` gives them."""


class GaugeSample(NamedTuple):
    """One value of a gauge, read at the scrape."""

    name: str
    labels: Labels
    value: float


ScrapeGauges = Callable[[], Iterable[GaugeSample]]
"""Reads gauges at the scrape: in a thread of its own, with a time limit."""


class MetricsError(ValueError):
    """A metric is used in a way that cannot be recorded."""


class InvalidMetricNameError(MetricsError):
    """Prometheus cannot store a metric or a label with this name."""


class MetricKindError(MetricsError):
    """One name is used for two types of metric."""


class MetricLabelsError(MetricsError):
    """A metric is used with other label names than those it was declared or first used with."""


class MetricValueError(MetricsError):
    """A value is not a number, or not one that this type of metric can take."""


class MetricDeclarationError(MetricsError):
    """A metric is declared in a way that makes no sense, or that contradicts another declaration."""


class AdapterSettingsError(ValueError):
    """The environment asks an adapter for something that makes no sense, or that it cannot do."""


@runtime_checkable
class MetricsPort(Protocol):
    """Records metrics, from any thread, and exposes them.

    A metric is created on first use: as the catalogue declares it or, if it does not, with the type and the
    label names of the first call. Labels of the catalogue that `MetricsLabels` leaves out when empty (method,
    route, code) may be missing; constant labels may be repeated. Label values become text.

    Values are real numbers: `Decimal`, `Fraction` and numpy's scalars count as such, text does not.
    Counters and histograms take finite numbers of 0 and above, gauges any number; OpenTelemetry's SDK
    pushes no gauge while that is NaN or infinite.

    Raises:
        MetricsError: the name, the type or the label names are not those of the metric, its exposed
            names are those of another metric, or the value is refused.
    """

    def inc_counter(self, name: str, labels: Labels) -> None: ...

    def observe_histogram(self, name: str, value: float, labels: Labels) -> None: ...

    def set_gauge(self, name: str, value: float, labels: Labels) -> None: ...

    def bind_counter(self, name: str, labels: Labels) -> BoundCounter:
        """The counter with these labels: valid as long as the adapter, across forks and `close`."""
        ...

    def bind_histogram(self, name: str, labels: Labels) -> BoundHistogram:
        """The histogram with these labels: valid as long as the adapter, across forks and `close`."""
        ...

    def bind_histograms(self, series: Sequence[tuple[str, Labels]]) -> BoundHistograms:
        """Several histograms, each by its name and labels, valid as long as the adapter."""
        ...

    def bind_gauge(self, name: str, labels: Labels) -> BoundGauge:
        """The gauge with these labels: valid as long as the adapter, across forks and `close`."""
        ...

    def note_exemplar(self, name: str, labels: Labels, value: float, exemplar: Labels) -> None:
        """Show this exemplar with the series of a counter or histogram to which the value was recorded.

        Adapters without exemplars do nothing; others do nothing if there is no room.
        """
        ...

    def remove(self, name: str, labels: Labels) -> None:
        """Stop exposing the series with these labels, for all processes that recorded it.

        Later recordings begin at zero. If each process pushes its own values, only those of this process are
        removed. Nothing happens if there is no such series, or if this process neither declares the metric
        nor has recorded it.

        Raises:
            MetricsError: the label names are not those of the metric.
            OSError: what other processes recorded cannot be removed.
        """
        ...

    def clear(self, name: str) -> None:
        """The same for every series of the metric."""
        ...

    def get_http_handler(self) -> HttpHandler: ...

    def request_recorder(self) -> RequestRecorder: ...

    def detailed_recorder(self, histograms: Sequence[str]) -> DetailedRecorder:
        """The same recorder, for requests with a value for each of these histograms.

        The histograms are those of the catalogue, by method and route, and by code if they have that label.
        """
        ...

    def register_scrape_gauges(self, read: ScrapeGauges) -> None:
        """Read these gauges at each scrape.

        `read` runs in a separate thread, which ends with it. If it raises or takes longer than the time
        limit, the scrape goes on without its gauges. A sample that cannot be exposed, or whose name or series
        another metric has, is left out. `metrics_scrape_gauges_failures_total` counts each of these.
        """
        ...

    def announce(self) -> None:
        """Show that this process serves, before it has recorded anything, if the adapter can."""
        ...

    def close(self) -> None:
        """Release files, slot and threads; a later recording opens them again."""
        ...


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """The values of the settings; each adapter uses what it needs."""

    constant_labels: ConstantLabels = field(default_factory=MetricsLabels)
    directory: Path | None = None
    max_label_sets: int = 2000
    native_histograms: bool = False
    created: bool = False
    owner: str = ""
    """Names the service whose processes share the directory; empty where nothing tells."""


@runtime_checkable
class MetricsAdapter(MetricsPort, Protocol):
    """A port that can be made from options; the setting METRICS_BACKEND names one."""

    @classmethod
    def configured(cls, options: MetricsOptions) -> Self:
        """Make the adapter. This starts nothing: no thread, no connection, no slot.

        Raises:
            AdapterSettingsError: its own variables in the environment cannot be used.
        """
        ...

    @classmethod
    def directory_written(cls, options: MetricsOptions) -> Path | None:
        """The directory that it writes to, which is checked at start."""
        ...

    @classmethod
    def foreign_files(cls, directory: Path) -> list[str]:
        """The names of files that do not belong in the directory that it writes to."""
        ...

    @classmethod
    def unreadable_files(cls, directory: Path) -> list[str]:
        """The names of its own files there that this user cannot open."""
        ...

    @classmethod
    def limitations(cls) -> list[str]:
        """What it does worse in this installation than it should, a sentence for each; reported at start."""
        ...


@runtime_checkable
class AdapterWithOwners(Protocol):
    """An adapter that knows which services use the same directory; this is optional."""

    @classmethod
    def find_other_owners(cls, options: MetricsOptions) -> list[str]:
        """The services besides `options.owner` whose metrics the directory holds."""
        ...


@runtime_checkable
class AdapterOfLibraries(Protocol):
    """An adapter whose metrics library is also used by other libraries; this is optional."""

    @classmethod
    def take_over_libraries(cls, find_adapter: "Callable[[], MetricsPort | None]") -> None:
        """Also record what other libraries record, before and after this call.

        `find_adapter` returns the adapter of this process at any time, or None if it has none.
        """
        ...
