"""Metrics of requests under names other than this app's own, by the setting NAMES."""

from metrics_app.catalogue import REQUEST_BUCKETS, Definition, Kind, Merge

SERVER_DURATION = "http_server_request_duration_seconds"
SERVER_ACTIVE = "http_server_active_requests"

_SERVER_LABELS = {
    "http_request_method": "http.request.method",
    "url_scheme": "url.scheme",
    "http_route": "http.route",
    "http_response_status_code": "http.response.status_code",
    "error_type": "error.type",
}

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
SEMCONV = (
    Definition(
        SERVER_DURATION,
        Kind.HISTOGRAM,
        "Duration of HTTP server requests.",
        tuple(_SERVER_LABELS),
        REQUEST_BUCKETS,
        route_label="http_route",
        otlp_name="http.server.request.duration",
        otlp_unit="s",
        otlp_labels=tuple(_SERVER_LABELS.values()),
    ),
    Definition(
        SERVER_ACTIVE,
        Kind.GAUGE,
        "Number of active HTTP server requests.",
        ("http_request_method", "url_scheme"),
        merge=Merge.SUM_OF_LIVING,
        otlp_name="http.server.active_requests",
        otlp_unit="{request}",
        otlp_labels=("http.request.method", "url.scheme"),
    ),
)

LATENCY_BUCKETS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 25.0, 50.0, 75.0),
)
BYTES_BUCKETS = (0.0, *[2.0**power for power in range(30)])

REQUESTS_BEFORE = "django_http_requests_before_middlewares_total"
RESPONSES_BEFORE = "django_http_responses_before_middlewares_total"
LATENCY = "django_http_requests_latency_including_middlewares_seconds"
UNKNOWN_LATENCY_BEFORE = "django_http_requests_unknown_latency_including_middlewares_total"
LATENCY_BY_VIEW = "django_http_requests_latency_seconds_by_view_method"
UNKNOWN_LATENCY = "django_http_requests_unknown_latency_total"
AJAX = "django_http_ajax_requests_total"
BY_METHOD = "django_http_requests_total_by_method_total"
BY_TRANSPORT = "django_http_requests_total_by_transport_total"
BY_VIEW = "django_http_requests_total_by_view_transport_method_total"
REQUEST_BYTES = "django_http_requests_body_total_bytes"
BY_TEMPLATE = "django_http_responses_total_by_templatename_total"
BY_STATUS = "django_http_responses_total_by_status_total"
BY_STATUS_VIEW = "django_http_responses_total_by_status_view_method_total"
RESPONSE_BYTES = "django_http_responses_body_total_bytes"
BY_CHARSET = "django_http_responses_total_by_charset_total"
STREAMING = "django_http_responses_streaming_total"
EXCEPTIONS_BY_TYPE = "django_http_exceptions_total_by_type_total"
EXCEPTIONS_BY_VIEW = "django_http_exceptions_total_by_view_total"


def _counter(name: str, meaning: str, *labels: str) -> Definition:
    return Definition(name, Kind.COUNTER, meaning, labels)


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Definition:
    return Definition(
        name, Kind.HISTOGRAM, meaning, labels, buckets, route_label="view" if "view" in labels else ""
    )


# Names, labels, help and buckets as in django_prometheus/middleware.py of django-prometheus 2.5.
DJANGO_PROMETHEUS = (
    _counter(REQUESTS_BEFORE, "Total count of requests before middlewares run."),
    _counter(RESPONSES_BEFORE, "Total count of responses before middlewares run."),
    _histogram(
        LATENCY,
        "Histogram of requests processing time (including middleware processing time).",
        LATENCY_BUCKETS,
    ),
    _counter(
        UNKNOWN_LATENCY_BEFORE,
        "Count of requests for which the latency was unknown (when computing "
        "django_http_requests_latency_including_middlewares_seconds).",
    ),
    _histogram(
        LATENCY_BY_VIEW,
        "Histogram of request processing time labelled by view.",
        LATENCY_BUCKETS,
        *("view", "method"),
    ),
    _counter(UNKNOWN_LATENCY, "Count of requests for which the latency was unknown."),
    _counter(AJAX, "Count of AJAX requests."),
    _counter(BY_METHOD, "Count of requests by method.", "method"),
    _counter(BY_TRANSPORT, "Count of requests by transport.", "transport"),
    _counter(BY_VIEW, "Count of requests by view, transport, method.", "view", "transport", "method"),
    _histogram(REQUEST_BYTES, "Histogram of requests by body size.", BYTES_BUCKETS),
    _counter(BY_TEMPLATE, "Count of responses by template name.", "templatename"),
    _counter(BY_STATUS, "Count of responses by status.", "status"),
    _counter(BY_STATUS_VIEW, "Count of responses by status, view, method.", "status", "view", "method"),
    _histogram(RESPONSE_BYTES, "Histogram of responses by body size.", BYTES_BUCKETS),
    _counter(BY_CHARSET, "Count of responses by charset.", "charset"),
    _counter(STREAMING, "Count of streaming responses."),
    _counter(EXCEPTIONS_BY_TYPE, "Count of exceptions by object type.", "type"),
    _counter(EXCEPTIONS_BY_VIEW, "Count of exceptions by view.", "view"),
)

SCHEMES: dict[str, tuple[Definition, ...]] = {
    "plain": (),
    "semconv": SEMCONV,
    "django-prometheus": DJANGO_PROMETHEUS,
}
FIXED_BUCKETS = {REQUEST_BYTES, RESPONSE_BYTES}
"""Those whose many buckets are django-prometheus's, and nobody's choice here."""
DURATIONS = {SERVER_DURATION, LATENCY, LATENCY_BY_VIEW}
"""Those whose buckets the settings choose."""
