"""What is recorded of each request in addition to, or instead of, an adapter's own recorder."""

from collections.abc import Callable, Mapping

from metrics_app import catalogue
from metrics_app.adapters.detailed_recorder import RequestHistograms
from metrics_app.bindings import Bindings, ExtraLabels
from metrics_app.observed_request import Measurements, ObservedRequest, Observer, RequestLabel
from metrics_app.ports import MetricsPort
from metrics_app.recorders import BoundCounter, BoundGauge, BoundHistogram, DetailedRecorder
from metrics_app.trace_context import sampled_trace_id

MIN_ERROR_CODE = 400


def find_histograms(wanted: Measurements) -> list[str]:
    """The metrics of measurements, in their order."""
    found = []
    if wanted.sizes:
        found += [catalogue.HTTP_REQUEST_SIZE, catalogue.HTTP_RESPONSE_SIZE]
    if wanted.first_byte:
        found.append(catalogue.HTTP_TIME_TO_FIRST_BYTE)
    if wanted.queries:
        found += [catalogue.HTTP_REQUEST_QUERIES, catalogue.HTTP_REQUEST_QUERY_DURATION]
    return found


def count_exceptions(metrics: MetricsPort) -> Callable[[str, str, str], None]:
    """Count an exception by method, route and type."""

    def count(method: str, route: str, kind: str) -> None:
        metrics.inc_counter(catalogue.HTTP_EXCEPTIONS, {"method": method, "route": route, "type": kind})

    return count


class LabelledObserver:
    """Rate, errors and duration with the extra labels."""

    def __init__(
        self, metrics: MetricsPort, functions: Mapping[str, RequestLabel], max_label_sets: int
    ) -> None:
        self._metrics = metrics
        self._labels = ExtraLabels(functions)
        self._names = tuple(functions)
        self._bindings = Bindings(self._bind, max_label_sets)
        self._in_progress: Bindings[BoundGauge] = Bindings(
            lambda method: metrics.bind_gauge(catalogue.HTTP_REQUESTS_IN_PROGRESS, {"method": method}),
            max_label_sets,
        )

    def begin(self, measured: ObservedRequest) -> None:
        self._in_progress.find(measured.method).move(1.0)

    def finish(self, measured: ObservedRequest) -> None:
        self.cancel(measured)
        values = self._labels.find(measured)
        bound = self._bindings.find(measured.method, measured.route, measured.code, *values)
        requests, durations, errors = bound
        requests.inc()
        durations.observe(measured.seconds)
        if errors is not None:
            errors.inc()

    def cancel(self, measured: ObservedRequest) -> None:
        self._in_progress.find(measured.method).move(-1.0)

    def _bind(
        self, method: str, route: str, code: int, *values: str
    ) -> tuple[BoundCounter, BoundHistogram, BoundCounter | None]:
        labels = {"method": method, "route": route, "code": str(int(code))}
        labels |= dict(zip(self._names, values, strict=True))
        errors = None
        if code >= MIN_ERROR_CODE:
            errors = self._metrics.bind_counter(catalogue.HTTP_REQUEST_ERRORS, labels)
        return (
            self._metrics.bind_counter(catalogue.HTTP_REQUESTS, labels),
            self._metrics.bind_histogram(catalogue.HTTP_REQUEST_DURATION, labels),
            errors,
        )


class RecordingObserver:
    """Passes everything to an adapter's recorder."""

    def __init__(self, recorder: DetailedRecorder, wanted: Measurements) -> None:
        self._recorder = recorder
        self._wanted = wanted

    def begin(self, measured: ObservedRequest) -> None:
        self._recorder.begin(measured.method)

    def finish(self, measured: ObservedRequest) -> None:
        trace_id = sampled_trace_id(measured.traceparent) if measured.traceparent else ""
        key = measured.method, measured.route, measured.code
        values = measured.find_measurements(self._wanted)
        self._recorder.finish(key, measured.seconds, trace_id, values)

    def cancel(self, measured: ObservedRequest) -> None:
        self._recorder.cancel(measured.method)


class MeasuringObserver:
    """Records what `first` does, and measurements by one look-up and one call."""

    def __init__(
        self, metrics: MetricsPort, first: Observer, wanted: Measurements, max_label_sets: int
    ) -> None:
        self._wanted = wanted
        self._histograms = RequestHistograms(metrics.bind_histograms, find_histograms(wanted), max_label_sets)
        self._finish_first = first.finish
        self.begin = first.begin
        self.cancel = first.cancel

    def finish(self, measured: ObservedRequest) -> None:
        self._finish_first(measured)
        histograms = self._histograms.find((measured.method, measured.route, measured.code))
        histograms.observe(measured.find_measurements(self._wanted))
