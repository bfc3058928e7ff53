"""Rate, errors and duration of HTTP requests, by route."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import COORDINATOR
from deploy.grafana.panels import chart, dashboard, query, stat

REQUESTS, ERRORS, SECONDS = (
    "http_requests_total",
    "http_request_errors_total",
    "http_request_duration_seconds",
)


def burn(what: str, allowed: float) -> str:
    return f'service:http_{what}:ratio_rate1h{{service=~"$service"}} / {allowed}'


def service() -> Dashboard:
    numbers = [
        stat("Requests per second", COORDINATOR.rate(REQUESTS), "reqps"),
        stat("Failed with a 5xx", COORDINATOR.share(REQUESTS, 'code=~"5.."'), "percentunit", red_from=0.001),
        stat("Median", COORDINATOR.quantile(0.5, SECONDS), "s"),
        stat("95 % are faster than", COORDINATOR.quantile(0.95, SECONDS), "s", red_from=0.5),
        stat("In progress", f"sum({COORDINATOR.selector('http_requests_in_progress')})"),
        stat("Instances", f"count(count by (instance) ({COORDINATOR.selector(REQUESTS)}))"),
    ]
    by_route = chart(
        "Requests by route", query(COORDINATOR.rate(REQUESTS, "route"), "{{route}}"), unit="reqps"
    )
    by_code = chart("Requests by code", query(COORDINATOR.rate(REQUESTS, "code"), "{{code}}"), unit="reqps")
    failed = chart(
        "Errors by route and code",
        query(COORDINATOR.rate(ERRORS, "route, code"), "{{route}} {{code}}"),
        unit="reqps",
        about="Codes of 400 and above.",
    )
    burnt = chart(
        "Burn of the 30 days' budget, over one hour",
        query(burn("errors", 0.001), "{{service}}: errors (0.1 % allowed)"),
        query(burn("slow", 0.01), "{{service}}: over 0.5 s (1 % allowed)"),
        about="Above 1, the objective of 30 days is missed if it goes on like this.",
    )
    slow = chart("95 % by route", query(COORDINATOR.quantile(0.95, SECONDS, "route"), "{{route}}"), unit="s")
    everything = chart(
        "All routes",
        query(COORDINATOR.quantile(0.5, SECONDS), "median"),
        query(COORDINATOR.quantile(0.95, SECONDS), "95 %"),
        query(COORDINATOR.quantile(0.99, SECONDS), "99 %"),
        query(COORDINATOR.mean(SECONDS), "mean"),
        unit="s",
    )
    return dashboard(
        "Service (RED)",
        __doc__ or "",
        counted_by=REQUESTS,
        numbers=numbers,
        rows={"Rate": [by_route, by_code], "Errors": [failed, burnt], "Duration": [slow, everything]},
    )
