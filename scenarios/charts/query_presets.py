"""Chart queries for the metrics of common exporters: requests, errors and a high percentile of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from scenarios.charts.service_queries import DEFAULTS
from scenarios.domain.units import Unit


@dataclass(frozen=True, slots=True)
class Preset:
    """`label` is the label of the metrics that must be the service's name."""

    title: str
    label: str
    queries: Sequence[tuple[str, str, Unit]]


def _list_queries(requests: str, failed: str, buckets: str) -> Sequence[tuple[str, str, Unit]]:
    """Of a counter, the same for errors, and the buckets of a histogram in seconds."""
    rate, errors = f"sum(rate({requests}[$window]))", f"sum(rate({failed}[$window]))"
    high = f"histogram_quantile(0.99, sum by (le) (rate({buckets}[$window])))"
    return (
        ("Requests", rate, Unit.PER_SECOND),
        ("Errors (5xx)", f"({errors} or 0 * {rate}) / {rate}", Unit.SHARE),
        ("Duration, 99th percentile", high, Unit.SECONDS),
    )


_ENVOY = 'envoy_cluster_name="$service"'
_ENVOY_BUCKETS = f"envoy_cluster_upstream_rq_time_bucket{{{_ENVOY}}}"
_ENVOY_HIGH = f"histogram_quantile(0.99, sum by (le) (rate({_ENVOY_BUCKETS}[$window])))"
_NGINX_ACCEPTED, _NGINX_HANDLED = (
    f'sum(rate(nginx_connections_{state}{{job="$service"}}[$window]))' for state in ("accepted", "handled")
)
_NGINX_LOST = f"{_NGINX_ACCEPTED} - {_NGINX_HANDLED}"
PRESETS = {
    "coordinator": Preset("This project's metrics package", "service", DEFAULTS),
    # https://github.com/django-commons/django-prometheus
    "django-prometheus": Preset(
        "django-prometheus",
        "job",
        _list_queries(
            'django_http_responses_total_by_status_total{job="$service"}',
            'django_http_responses_total_by_status_total{job="$service", status=~"5.."}',
            'django_http_requests_latency_including_middlewares_seconds_bucket{job="$service"}',
        ),
    ),
    # https://docs.spring.io/spring-boot/reference/actuator/metrics.html
    "spring": Preset(
        "Spring Boot (Micrometer)",
        "application",
        _list_queries(
            'http_server_requests_seconds_count{application="$service"}',
            'http_server_requests_seconds_count{application="$service", status=~"5.."}',
            'http_server_requests_seconds_bucket{application="$service"}',
        ),
    ),
    # https://pkg.go.dev/github.com/prometheus/client_golang/prometheus/promhttp
    "go": Preset(
        "Go (promhttp)",
        "job",
        _list_queries(
            'http_requests_total{job="$service"}',
            'http_requests_total{job="$service", code=~"5.."}',
            'http_request_duration_seconds_bucket{job="$service"}',
        ),
    ),
    # https://github.com/nginx/nginx-prometheus-exporter
    "nginx": Preset(
        "nginx (its exporter)",
        "job",
        (
            ("Requests", 'sum(rate(nginx_http_requests_total{job="$service"}[$window]))', Unit.PER_SECOND),
            ("Active connections", 'sum(nginx_connections_active{job="$service"})', Unit.NUMBER),
            (
                "Connections not handled",
                _NGINX_LOST,
                Unit.PER_SECOND,
            ),
        ),
    ),
    # https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats
    "envoy": Preset(
        "Envoy",
        "envoy_cluster_name",
        (
            *_list_queries(
                f"envoy_cluster_upstream_rq_total{{{_ENVOY}}}",
                f'envoy_cluster_upstream_rq_xx{{{_ENVOY}, envoy_response_code_class="5"}}',
                "",
            )[:2],
            (
                "Duration, 99th percentile",
                f"{_ENVOY_HIGH} / 1000",  # Envoy measures milliseconds
                Unit.SECONDS,
            ),
        ),
    ),
    # https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
    "opentelemetry": Preset(
        "OpenTelemetry (HTTP servers)",
        "job",
        _list_queries(
            'http_server_request_duration_seconds_count{job="$service"}',
            'http_server_request_duration_seconds_count{job="$service", http_response_status_code=~"5.."}',
            'http_server_request_duration_seconds_bucket{job="$service"}',
        ),
    ),
}
