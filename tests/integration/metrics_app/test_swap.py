"""Another adapter is another value of METRICS_BACKEND, and nothing else: the library may even be missing."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.exposition import value
from tests.otlp_receiver import Receiver
from tests.servers.serving import serving
from tests.without_module import run_without

MEMORY = "metrics_app.adapters.memory.InMemoryMetricsAdapter"
OPENTELEMETRY = "metrics_app.adapters.opentelemetry.OpenTelemetryMetricsAdapter"

PROGRAM = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "coordinator_site.settings"

import django
django.setup()

from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from metrics_app.backend import get_metrics
from scenarios.runs import executor
from scenarios.library import services as registered_services
from scenarios.runs import commands as run_commands

call_command("check", verbosity=0)
call_command("migrate", verbosity=0)
assert Client(headers={"host": "localhost"}).get("/api/v1/health").status_code == 200
assert cache.get("key") is None
registered_services.register_service("shop", os.environ["SHOP"])
run = run_commands.start_run(os.environ["DOCUMENT"], {}, origin="cli")
print("verdict:", executor.carry_out(str(run.id), run.attempt).verdict)
print(Client(headers={"host": "localhost"}).get("/metrics").content.decode())
assert sys.argv[1] not in sys.modules
"""

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: small, title: A small one}
spec:
  phases:
    - name: chaos
      actions:
        - name: make it slow
          do: {http: {service: shop, method: POST, path: /slow}}
          undo: {http: {service: shop, method: POST, path: /quick}}
      validations:
        - name: it answers
          within: 2m
          timeout: 1m
          probe: {http: {service: shop, path: /}}
          expect: {status: 200}
"""


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Shop)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def environment(shop: str, receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    """Everything but the one variable that chooses the adapter."""
    return {
        "DATA_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'small.sqlite3'}",
        "SHOP": shop,
        "DOCUMENT": DOCUMENT,
        "SERVICE_INSTANCE_NAME": "shop-1",
        "METRICS_DATABASE": "true",
        "METRICS_CACHE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "50",
        "NO_PROXY": "127.0.0.1",
    }


def run_without_prometheus(environment: dict[str, str], backend: str) -> CompletedProcess[str]:
    done = run_without("prometheus_client", PROGRAM, **environment, METRICS_BACKEND=backend)
    assert done.returncode == 0, done.stderr
    assert "verdict: passed" in done.stdout
    return done


def assert_whole_paths(exposition: bytes | str) -> None:
    """Requests and the scenario stand in it, from the first recording to the last."""
    assert value(exposition, "http_requests_total", route="api:health", code="200") == 1
    assert value(exposition, "http_request_duration_seconds_count", route="api:health") == 1
    assert value(exposition, "scenario_runs_total", scenario="small", outcome="passed") == 1
    assert value(exposition, "scenario_run_duration_seconds_count", scenario="small") == 1
    for event in ("injected", "undone"):
        assert value(exposition, "scenario_chaos_events_total", driver="http", event=event) == 1
    assert value(exposition, "scenario_time_to_pass_seconds_count", phase="chaos") == 1
    assert value(exposition, "database_connections_opened_total", alias="default") >= 1
    assert value(exposition, "database_query_duration_seconds_count", alias="default") >= 1
    assert value(exposition, "cache_reads_total", alias="default", outcome="miss") == 1


def test_the_memory_adapter_works_where_prometheus_client_is_missing(environment: dict[str, str]) -> None:
    done = run_without_prometheus(environment, MEMORY)
    assert_whole_paths(done.stdout.partition("passed\n")[2])


def test_the_opentelemetry_adapter_works_where_prometheus_client_is_missing(
    environment: dict[str, str], receiver: Receiver
) -> None:
    done = run_without_prometheus(environment, OPENTELEMETRY)
    assert f"# Metrics are pushed by OTLP to {receiver.endpoint}/v1/metrics" in done.stdout
    assert_whole_paths(receiver.exposition())
    assert any("scenario_outstanding_faults" in push.metrics for push in receiver.pushes)


CHECK = """
from django.core.management import execute_from_command_line
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "coordinator_site.settings"
execute_from_command_line(["manage.py", "check"])
"""


@pytest.mark.parametrize(
    ("missing", "backend", "packages"),
    [
        ("opentelemetry", OPENTELEMETRY, "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"),
        (
            "prometheus_client",
            "metrics_app.adapters.prometheus.PrometheusMetricsAdapter",
            "prometheus-client",
        ),
    ],
)
def test_an_adapter_whose_library_is_missing_is_refused_with_what_to_install(
    missing: str, backend: str, packages: str, tmp_path: Path
) -> None:
    done = run_without(missing, CHECK, METRICS_BACKEND=backend, DATA_DIR=str(tmp_path))
    assert done.returncode != 0
    assert f"(metrics_app.E001) METRICS['BACKEND']='{backend}' cannot be imported" in done.stderr
    assert f"HINT: The adapter needs '{missing}': install it with" in done.stderr
    assert f"-m pip install {packages}'" in done.stderr


def test_a_variable_that_the_adapter_cannot_use_is_refused_by_the_check(tmp_path: Path) -> None:
    wrong = {"METRICS_BACKEND": OPENTELEMETRY, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    done = run_without("prometheus_client", CHECK, **wrong, DATA_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "(metrics_app.E004) OTEL_EXPORTER_OTLP_PROTOCOL='grpc' is not supported" in done.stderr
