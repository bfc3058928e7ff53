"""The dashboard and the alerts of the package: they ask for what the package exposes, and the alerts fire."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import metrics_app
from metrics_app import commands, migration_state, model_rows  # noqa: F401 - they declare their metrics
from metrics_app.catalogue import CATALOGUE, Kind
from metrics_app.task_queues import recorder  # noqa: F401 - as above

FOLDER = Path(metrics_app.__file__).parent / "monitoring"
# Of each process; their labels are added by the adapter.
RUNTIME = re.compile(r"process_\w+")
BY_PROMETHEUS = {"job", "instance", "le", "worker"}
# Every minute: what makes the alert fire.
SERIES = {
    "DjangoRequestsFail": ['http_requests_total{job="shop", code="500"} 0+60x60'],
    "DjangoRequestsSlow": [
        'http_request_duration_seconds_bucket{job="shop", le="1"} 0+0x60',
        'http_request_duration_seconds_bucket{job="shop", le="2.5"} 0+60x60',
        'http_request_duration_seconds_bucket{job="shop", le="+Inf"} 0+60x60',
    ],
    "DjangoDatabaseFails": ['database_connection_errors_total{job="shop", alias="default"} 0+6x60'],
    "DjangoMigrationsPending": ['database_migrations_pending{job="shop", alias="default"} 2x60'],
    "DjangoTasksWait": ['tasks_oldest_queued_seconds{job="shop", queue="default"} 0+60x60'],
    "DjangoTasksFail": ['tasks_finished_total{job="shop", task="work", outcome="failed"} 0+6x60'],
    "DjangoCommandFailed": ['management_command_last_exit_code{job="shop", command="nightly"} 1x60'],
    "DjangoMetricsIncomplete": ['metrics_dropped_series_total{job="shop", metric="x"} 0+6x60'],
}


def sample_names() -> dict[str, set[str]]:
    """Which labels the samples of each name have, those too that a setting switches on."""
    found = {}
    for name, definition in CATALOGUE.items():
        endings = ("_bucket", "_sum", "_count") if definition.kind is Kind.HISTOGRAM else ("",)
        found.update({f"{name}{ending}": set(definition.label_names) for ending in endings})
    return found


def rules() -> dict[str, Any]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def expressions() -> Iterator[str]:
    board = json.loads((FOLDER / "django.json").read_text())
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (rule["expr"] for rule in rules().values())


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_asks_for_metrics_and_labels_that_the_package_exposes(expression: str) -> None:
    known = sample_names()
    asked = set(re.findall(r"\b[a-z]+(?:_[a-z]+){2,}\b(?=[\[{)\s!])", expression)) - {"histogram_quantile"}
    asked = {name for name in asked if not RUNTIME.fullmatch(name)}
    assert asked or RUNTIME.search(expression), expression
    assert asked <= known.keys()
    by = {
        label for group in re.findall(r"by \(([\w, ]+)\)", expression) for label in re.findall(r"\w+", group)
    }
    for name in asked:
        assert by - BY_PROMETHEUS <= known[name], (name, by)


@pytest.mark.prometheus
def test_every_alert_fires_for_its_series_and_for_no_other(tmp_path: Path) -> None:
    assert SERIES.keys() == rules().keys()
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": line.rpartition(" ")[0], "values": line.rpartition(" ")[2]} for line in lines
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "50m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}],
                }
            ],
        }
        for alert, lines in SERIES.items()
    ]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
