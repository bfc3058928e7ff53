"""The queries of a service that the charts of every run on it show: its rate, errors and p99 by default."""

from scenarios.domain.units import Unit
from scenarios.models import Service, ServiceQuery

_ALL = 'rate(http_requests_total{service="$service"}[$window])'
_FAILED = 'rate(http_requests_total{service="$service", code=~"5.."}[$window])'
_DURATION = 'rate(http_request_duration_seconds_bucket{service="$service"}[$window])'
# Of the metrics that this project's own middleware exposes. Without a request in the window the share of
# errors and the quantile are no numbers: a gap in the chart.
DEFAULTS = (
    ("Requests", f"sum({_ALL})", Unit.PER_SECOND),
    ("Errors (5xx)", f"(sum({_FAILED}) or 0 * sum({_ALL})) / sum({_ALL})", Unit.SHARE),
    ("Duration, 99th percentile", f"histogram_quantile(0.99, sum by (le) ({_DURATION}))", Unit.SECONDS),
)


def give_default_queries(service: Service) -> None:
    """To a service that has none, and that speaks HTTP, which they count."""
    if service.is_web and not service.queries.exists():
        ServiceQuery.objects.bulk_create(
            ServiceQuery(service=service, title=title, query=query, unit=unit)
            for title, query, unit in DEFAULTS
        )
