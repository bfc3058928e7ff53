"""Records each request under the names of OpenTelemetry's semantic conventions."""

from collections.abc import Mapping

from metrics_app import request_schemes as names
from metrics_app.bindings import Bindings, ExtraLabels
from metrics_app.observed_request import ObservedRequest, RequestLabel
from metrics_app.ports import MetricsPort
from metrics_app.recorders import BoundGauge, BoundHistogram
from metrics_app.request_labels import OTHER_METHOD, SERVER_ERROR


class SemconvObserver:
    """`http.server.request.duration` and `http.server.active_requests`.

    Source: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
    """

    def __init__(
        self, metrics: MetricsPort, functions: Mapping[str, RequestLabel], max_label_sets: int
    ) -> None:
        self._metrics = metrics
        self._labels = ExtraLabels(functions)
        self._names = tuple(functions)
        self._active: Bindings[BoundGauge] = Bindings(self._bind_active, max_label_sets)
        self._durations: Bindings[BoundHistogram] = Bindings(self._bind_duration, max_label_sets)

    def begin(self, measured: ObservedRequest) -> None:
        self._active.find(_find_method(measured), measured.scheme).move(1.0)

    def finish(self, measured: ObservedRequest) -> None:
        self.cancel(measured)
        error = ""
        if measured.code >= SERVER_ERROR:
            error = measured.exception or str(int(measured.code))
        key = (_find_method(measured), measured.scheme, measured.pattern, measured.code, error)
        self._durations.find(*key, *self._labels.find(measured)).observe(measured.seconds)

    def cancel(self, measured: ObservedRequest) -> None:
        self._active.find(_find_method(measured), measured.scheme).move(-1.0)

    def _bind_active(self, method: str, scheme: str) -> BoundGauge:
        labels = {"http_request_method": method, "url_scheme": scheme}
        return self._metrics.bind_gauge(names.SERVER_ACTIVE, labels)

    def _bind_duration(
        self, method: str, scheme: str, pattern: str, code: int, error: str, *values: str
    ) -> BoundHistogram:
        labels = {
            "http_request_method": method,
            "url_scheme": scheme,
            "http_route": pattern,
            "http_response_status_code": str(int(code)),
            "error_type": error,
            **dict(zip(self._names, values, strict=True)),
        }
        return self._metrics.bind_histogram(names.SERVER_DURATION, labels)


def _find_method(measured: ObservedRequest) -> str:
    return "_OTHER" if measured.method == OTHER_METHOD else measured.method
