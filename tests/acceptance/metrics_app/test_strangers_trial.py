"""What a stranger does: install the wheel, start a project, add three lines, serve it, scrape it."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.servers.installation import Installation
from tests.servers.loopback import wait_for
from tests.servers.prometheus_server import prometheus, scraping
from tests.servers.strangers_project import THREE_LINES, Project, find_python

DASHBOARD = "venv/lib/python*/site-packages/metrics_app/monitoring/django.json"
REQUESTS = 60
VIEWS = {
    "urls.py": """
from django.http import HttpResponse
from metrics_app import metrics
from prometheus_client import Counter

CALLS = Counter("library_calls", "Calls of a library that knows prometheus_client alone.")
ORDERS = metrics.counter("orders_total", "Orders placed.", labels=("channel",))


def order(request):
    ORDERS.labels(channel="web").inc(3)
    CALLS.inc()
    return HttpResponse("ordered")


urlpatterns += [path("order", order, name="order")]
"""
}
MATRIX = [
    pytest.param("Django==4.2.*", "3.11", id="django-4.2"),
    pytest.param("Django==5.2.*", "3.12", id="django-5.2"),
    pytest.param("Django", "3.13", id="django-newest"),
]


@pytest.mark.prometheus
@pytest.mark.parametrize(("django", "version"), MATRIX)
def test_three_lines_give_exact_metrics(wheel: Path, tmp_path: Path, django: str, version: str) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    project = Project(tmp_path, python, f"{wheel}[prometheus]", django, "gunicorn")
    project.append(THREE_LINES)
    project.append(VIEWS)
    assert "no issues" in project.manage("check")
    with (
        project.served("--max-requests", "20") as port,
        prometheus(scraping(tmp_path / "prometheus.yml", port), tmp_path / "tsdb") as address,
    ):
        for _ in range(REQUESTS):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/order", timeout=300) as answer:
                assert answer.read() == b"ordered"
        scraped = Installation(f"http://127.0.0.1:{port}", address)
        for expression, expected in EXPECTED.items():
            wait_for(lambda: scraped.value(expression) == expected, what=f"{expression} is {expected}")  # noqa: B023
        [dashboard] = tmp_path.glob(DASHBOARD)
        wait_for(lambda: scraped.query(first_expression(dashboard)), what="the dashboard has data")
    [directory] = project.temporary.glob("metrics-*")
    assert directory.stat().st_mode & 0o777 == 0o700


EXPECTED = {
    'sum(http_requests_total{route="order",method="GET",code="200"})': REQUESTS,
    'sum(http_request_duration_seconds_count{route="order"})': REQUESTS,
    'orders_total{channel="web"}': 3 * REQUESTS,
    "library_calls_total": REQUESTS,
    "count(process_resident_memory_bytes) >= 2": 2,
}


VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "1m"}


def first_expression(dashboard: Path) -> str:
    """The first one of the dashboard that the wheel brings, as Grafana sends it."""
    panels = json.loads(dashboard.read_text())["panels"]
    expression: str = next(target for panel in panels for target in panel.get("targets", []))["expr"]
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression
