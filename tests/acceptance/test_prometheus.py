"""A real Prometheus, with the configuration that the project ships, scrapes what `manage.py up` serves."""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.coordinator import PROJECT, command, read_until
from tests.servers.installation import Installation
from tests.servers.loopback import free_port, wait_for
from tests.servers.prometheus_server import prometheus
from tests.servers.serving import serving

pytestmark = pytest.mark.prometheus

REQUESTS = 7
TARGETS = 3
IDENTITY = {"instance": "coordinator-a", "service": "test-coordinator", "version": "9.8.7"}
HEALTH = '{route="api:health",method="GET",code="200"}'
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh database, two web workers, a worker that has carried a scenario out, and Prometheus."""
    identity = {"SERVICE_INSTANCE_NAME": IDENTITY["instance"], "SERVICE_VERSION": IDENTITY["version"]}
    data = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    with command(data, "up", "--port", str(port), WEB_CONCURRENCY="2", **identity) as process:
        output = read_until(process.stdout, "Serving")
        assert "PASSED" in output
        prometheus = re.search(r"Prometheus +(http://\S+)", output)
        assert prometheus, output
        running = Installation(f"http://127.0.0.1:{port}", prometheus[1])
        for _ in range(REQUESTS):
            running.get("/api/v1/health")
        wait_for(lambda: running.value(f"http_requests_total{HEALTH}") == REQUESTS, what="it is scraped")
        wait_for(lambda: running.value("count(up)") == TARGETS, what="every target is scraped")
        yield running


@pytest.mark.parametrize(
    ("promql", "value"),
    [
        (f"http_requests_total{HEALTH}", REQUESTS),
        (f"http_request_duration_seconds_count{HEALTH}", REQUESTS),
        ('http_request_duration_seconds_bucket{route="api:health",le="+Inf"}', REQUESTS),
        ('scenario_runs_total{scenario="dependency-hangs",outcome="passed"}', 1),
        ('scenario_chaos_events_total{scenario="dependency-hangs",driver="proxy",event="injected"}', 1),
        ('scenario_chaos_events_total{scenario="dependency-hangs",driver="proxy",event="undone"}', 1),
        ("scenario_outstanding_faults", 0),
    ],
)
def test_prometheus_has_the_value_with_the_configured_identity(
    installation: Installation, promql: str, value: float
) -> None:
    (series,) = installation.query(promql)
    assert float(series["value"][1]) == value
    labels = series["metric"]
    assert {name: labels[name] for name in IDENTITY} == IDENTITY
    assert labels["job"] == "test-coordinator"
    assert "exported_instance" not in labels


def test_every_worker_process_shows_its_memory(installation: Installation) -> None:
    series = installation.query('process_resident_memory_bytes{job="test-coordinator"}')
    assert len({sample["metric"]["worker"] for sample in series}) == len(series)
    # Two web workers, the task worker, and the watchdog with the metrics of its undos where it has some.
    assert len(series) in {3, 4}
    for sample in series:
        assert 20 * MEBIBYTE < float(sample["value"][1]) < 500 * MEBIBYTE
        assert {name: sample["metric"][name] for name in IDENTITY} == IDENTITY


def test_every_target_of_the_shipped_configuration_is_up(installation: Installation) -> None:
    up = {sample["metric"]["job"]: sample["value"][1] for sample in installation.query("up")}
    assert up == {"test-coordinator": "1", "exchange": "1", "risk-monitor": "1"}


def test_the_hanging_price_feed_shows_in_the_histogram_of_the_exchange(installation: Installation) -> None:
    prices = 'http_request_duration_seconds_bucket{job="exchange",route="/prices",le="%s"}'

    def slow_ones() -> float:
        everything, quick = (installation.value(f"sum({prices % bound})") or 0 for bound in ("+Inf", "0.25"))
        return everything - quick if quick else 0

    wait_for(slow_ones, what="Prometheus sees quick answers and slow ones")


def test_promtool_finds_nothing_wrong_with_the_exposition(installation: Installation) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=installation.get("/metrics"),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


class AsText(BaseHTTPRequestHandler):
    """Passes a scrape on without its Accept header: Prometheus would always ask for OpenMetrics."""

    origin = ""

    def do_GET(self) -> None:
        with urllib.request.urlopen(f"{self.origin}{self.path}", timeout=300) as answer:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.end_headers()
            self.wfile.write(answer.read())

    def log_message(self, *_arguments: Any) -> None:
        """The tests' own output stays readable."""


@contextmanager
def served_as_text(origin: str) -> Iterator[int]:
    handler = type("AsTextOfOrigin", (AsText,), {"origin": origin})
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield server.server_port


def test_prometheus_accepts_both_formats(installation: Installation, tmp_path: Path) -> None:
    with served_as_text(installation.web) as as_text:
        ports = {"openmetrics": installation.web.rpartition(":")[2], "text": as_text}
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for name, port in ports.items()
        ]
        config = tmp_path / "prometheus.yml"
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        with prometheus(config, tmp_path / "data") as own:
            running = Installation(installation.web, own)
            wait_for(lambda: running.value("count(up == 1)") == len(jobs), what="both are scraped")
            with urllib.request.urlopen(f"{own}/api/v1/targets", timeout=300) as answer:
                targets = json.load(answer)["data"]["activeTargets"]
            requests = running.query(f"http_requests_total{HEALTH}")
    assert {target["labels"]["job"]: target["lastError"] for target in targets} == {
        "openmetrics": "",
        "text": "",
    }
    assert len({sample["value"][1] for sample in requests}) == 1
    assert len(requests) == len(jobs)


def test_promtool_finds_nothing_wrong_with_the_shipped_configuration() -> None:
    shipped = Path("deploy/prometheus/prometheus.yml")
    command_line = ["promtool", "check", "config", str(shipped)]
    checked = subprocess.run(command_line, cwd=PROJECT, capture_output=True, check=False, timeout=300)
    assert checked.returncode == 0, checked.stderr


def count_rules(interval: str | None) -> int:
    """How many rules the repository has in groups with this interval of their own."""
    files = [yaml.safe_load(file.read_text()) for file in (PROJECT / "deploy/prometheus/rules").glob("*.yml")]
    groups = [group for file in files for group in file["groups"] if group.get("interval") == interval]
    count = sum(len(group["rules"]) for group in groups)
    assert count > 0
    return count


def test_every_shipped_rule_is_loaded_and_none_fails_to_evaluate(installation: Installation) -> None:
    def health(of_interval: float) -> list[str]:
        with urllib.request.urlopen(f"{installation.prometheus}/api/v1/rules", timeout=300) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [
            rule["health"] for group in groups if group["interval"] == of_interval for rule in group["rules"]
        ]

    # Those over long windows have their turn within a minute; promtool's cases try them sooner.
    assert (len(health(5)), len(health(60))) == (count_rules(None), count_rules("1m"))
    wait_for(lambda: "unknown" not in health(5), what="each was evaluated")
    assert set(health(5)) == {"ok"}
