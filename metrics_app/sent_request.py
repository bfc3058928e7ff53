"""A request without Django, with more measurements than rate, errors and duration."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

from metrics_app.observed_request import Measurements, Observer, RequestLabel
from metrics_app.observers import (
    LabelledObserver,
    MeasuringObserver,
    RecordingObserver,
    count_exceptions,
    find_histograms,
)
from metrics_app.ports import MetricsPort
from metrics_app.request_labels import METHODS, OTHER_METHOD, UNMATCHED
from metrics_app.semconv_observer import SemconvObserver


class Details(NamedTuple):
    """What the settings want to know about requests."""

    names: str
    labels: Mapping[str, RequestLabel]
    details: Sequence[str]
    max_label_sets: int


class Observation(NamedTuple):
    observer: Observer
    count_exception: Callable[[str, str, str], None] | None
    """Counts one by method, route and type."""


def find_observation(metrics: MetricsPort, wanted: Details) -> Observation | None:
    """None if only what the adapter's own recorder takes is wanted."""
    if wanted.names == "plain" and not wanted.labels and not wanted.details:
        return None
    count = count_exceptions(metrics) if "exceptions" in wanted.details else None
    measurements = Measurements.named(wanted.details)
    if wanted.names == "plain" and not wanted.labels:
        recorder = metrics.detailed_recorder(find_histograms(measurements))
        return Observation(RecordingObserver(recorder, measurements), count)
    kind = SemconvObserver if wanted.names == "semconv" else LabelledObserver
    observer: Observer = kind(metrics, wanted.labels, wanted.max_label_sets)
    if any(measurements):
        observer = MeasuringObserver(metrics, observer, measurements, wanted.max_label_sets)
    return Observation(observer, count)


class SentRequest:
    """The request that observers get; in progress from its creation until `end`."""

    __slots__ = (
        "_observation",
        "_received",
        "_sent",
        "_start",
        "code",
        "exception",
        "first_byte",
        "is_over",
        "is_scrape",
        "length",
        "method",
        "pattern",
        "queries",
        "route",
        "scheme",
        "seconds",
        "source",
        "status",
        "traceparent",
    )

    queries: list[float]

    def __init__(
        self, observation: Observation, source: Any, method: str, scheme: str, received: float | None
    ) -> None:
        self._observation = observation
        self.source = source
        self.method = METHODS.get(method, OTHER_METHOD)
        self.scheme = scheme
        self._received = received
        self._sent: int | None = None
        self.first_byte: float | None = None
        self.length: float | None = None
        """What its header says, of an answer that the server sends by its own means."""
        self.status = 0
        self.exception = ""
        self.traceparent: str | None = None
        self.is_over = self.is_scrape = False
        observation.observer.begin(self)
        self._start = perf_counter()

    def count(self, size: int) -> None:
        """Count bytes that are sent now."""
        if self.first_byte is None:
            self.first_byte = perf_counter() - self._start
        self._sent = (self._sent or 0) + size

    def end(self, code: int, find_route: Callable[[], str | None], *, is_counted: bool = True) -> None:
        """Record the request; later calls do nothing."""
        if self.is_over:
            return
        self.is_over = True
        self.seconds = perf_counter() - self._start
        self.code = code
        observer, count_exception = self._observation
        if not is_counted:
            observer.cancel(self)
            return
        try:
            self.route = find_route() or UNMATCHED
        except Exception:  # noqa: BLE001 - whatever the framework or the caller's function raises
            self.route = UNMATCHED
        self.pattern = "" if self.route == UNMATCHED else self.route
        observer.finish(self)
        if count_exception is not None and self.exception:
            count_exception(self.method, self.route, self.exception)

    def find_measurements(self, wanted: Measurements) -> list[float | None]:
        found: list[float | None] = []
        if wanted.sizes:
            found += (self._received, self.length if self._sent is None else float(self._sent))
        if wanted.first_byte:
            found.append(self.first_byte)
        return found
