"""The Grafana dashboards: as generated, and with data in every panel from what the project exposes."""

import http.client
import json
import math
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import generate
from deploy.grafana.django import django
from tests.servers.coordinator import PROJECT, Coordinator, command, read_until
from tests.servers.installation import Installation
from tests.servers.loopback import wait_for

GRAFANA = PROJECT / "deploy" / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
# What Grafana puts in, when everything is chosen.
VARIABLES = {
    "$service": ".*",
    "$instance": ".*",
    "$__rate_interval": "1m",
    "$__range": "5m",
    "$__interval": "1h",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PATHS = ("/api/v1/health", "/api/v1/ready", "/admin/login/", "/admin/", "/nowhere")
LABEL_SETS = 20


def substituted(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def expressions() -> dict[str, str]:
    """Every one that Grafana would send, by where it stands."""
    found = {}
    for name, board in DASHBOARDS.items():
        for annotation in board["annotations"]["list"]:
            found[f"{name}: {annotation['name']}"] = annotation["expr"]
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                found[f"{name}: {panel['title']} {target['refId']}"] = target["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                assert asked
                found[f"{name}: ${variable['name']}"] = f"count by ({asked[2]}) ({asked[1]})"
    return found


@pytest.mark.parametrize("name", generate.DASHBOARDS)
def test_a_committed_dashboard_is_what_the_generator_makes(name: str) -> None:
    assert (GRAFANA / "dashboards" / f"{name}.json").read_text() == generate.generated(name)


def test_the_dashboard_of_the_metrics_package_is_what_the_generator_makes() -> None:
    assert (generate.PACKAGE_FOLDER / "django.json").read_text() == generate.written(django())


def test_the_dashboards_say_what_they_are_and_where_their_data_comes_from() -> None:
    assert DASHBOARDS.keys() == generate.DASHBOARDS.keys()
    for name, board in DASHBOARDS.items():
        assert (board["uid"], board["tags"]) == (f"test-coordinator-{name}", ["test-coordinator"])
        assert [variable["name"] for variable in board["templating"]["list"]] == [
            "datasource",
            "service",
            "instance",
        ]
        assert {panel["datasource"]["uid"] for panel in board["panels"] if "targets" in panel} == {
            "${datasource}"
        }
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


def test_provisioning_names_a_data_source_and_a_folder_of_dashboards() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    scraping = yaml.safe_load((PROJECT / "deploy/prometheus/prometheus.yml").read_text())["global"]
    assert (source["type"], source["jsonData"]["timeInterval"]) == ("prometheus", scraping["scrape_interval"])
    (provider,) = provisioned("dashboards/test-coordinator.yml")["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)


def provisioned(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning" / name).read_text())
    return content


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Prometheus has seen two scenarios, answers of every kind, and each trouble that metrics can have."""
    installed = Coordinator(tmp_path_factory.mktemp("dashboards"))
    installed.migrate()
    environment = {"WEB_CONCURRENCY": "1", "METRICS_MAX_LABEL_SETS": str(LABEL_SETS)}
    with command(installed.data, "up", "--port", str(installed.port), **environment) as process:
        output = read_until(process.stdout, "Serving")
        addresses = dict(re.findall(r"^(Exchange|Prometheus) +http://([\w.:]+)", output, re.MULTILINE))
        running = Installation(f"http://127.0.0.1:{installed.port}", f"http://{addresses['Prometheus']}")
        wait_for(lambda: running.query("scenario_runs_total"), what="the first scenario is scraped")
        for _ in range(2):  # the first run may be over before Prometheus has scraped once
            installed.manage("scenario", "run", "exchange-latency")
        for _ in range(2):  # a rate is made from two scrapes
            fail(addresses["Exchange"])
            exceed_label_sets(installed.port)
            wait_for(lambda: running.query("metrics_dropped_series_total"), what="both are scraped")
        with gauges_unreadable(installed.data / "coordinator.sqlite3"):
            wait_for(
                lambda: running.query("metrics_scrape_gauges_failures_total"), what="a reading has failed"
            )
        yield running


def fail(exchange: str) -> None:
    """The exchange answers some requests, and some of them with 500."""
    for method, path, body in (
        ("GET", "/orders", None),
        ("POST", "/chaos/errors", '{"rate": 1}'),
        ("GET", "/orders", None),
        ("DELETE", "/chaos/errors", None),
    ):
        request(exchange, method, path, body)


def exceed_label_sets(port: int) -> None:
    for path in PATHS:
        for method in METHODS:
            request(f"127.0.0.1:{port}", method, path)


def request(address: str, method: str, path: str, body: str | None = None) -> None:
    connection = http.client.HTTPConnection(address, timeout=300)
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, headers)
    connection.getresponse().read()
    connection.close()


@contextmanager
def gauges_unreadable(database: Path) -> Iterator[None]:
    """As between a new version's start and its migration: a table is not there."""
    rename(database, "scenarios_heartbeat", "elsewhere")
    yield
    rename(database, "elsewhere", "scenarios_heartbeat")


def rename(database: Path, table: str, name: str) -> None:
    with closing(sqlite3.connect(database, timeout=300, isolation_level=None)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")


@pytest.mark.prometheus
@pytest.mark.parametrize("place", expressions())
def test_an_expression_has_data(installation: Installation, place: str) -> None:
    promql = substituted(expressions()[place])

    def numbers() -> list[float]:
        values = [float(series["value"][1]) for series in installation.query(promql)]
        return [value for value in values if not math.isnan(value)]

    # The newest of it may wait for the next scrape.
    wait_for(numbers, what=f"{promql} has data")
