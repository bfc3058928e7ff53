"""The setting ON_MISUSE: what becomes of a recording that cannot be made."""

import pytest
from django.conf import settings
from django.test import override_settings

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.ports import MetricLabelsError, MetricsPort
from scenarios.published.metrics import FINISHED_RUNS


def misused(metrics: MetricsPort) -> float:
    assert isinstance(metrics, InMemoryMetricsAdapter)
    return metrics.value("metrics_misused_total", {"metric": "scenario_runs_total", "kind": "labels"})


def test_misuse_raises_in_tests(metrics: MetricsPort) -> None:
    with pytest.raises(MetricLabelsError):
        FINISHED_RUNS.labels(scenario="x")
    assert misused(metrics) == 0


@pytest.mark.parametrize("choice", ["log", "raise"])
def test_the_setting_wins(metrics: MetricsPort, choice: str) -> None:
    with override_settings(METRICS={**settings.METRICS, "ON_MISUSE": choice}):
        if choice == "raise":
            with pytest.raises(MetricLabelsError):
                FINISHED_RUNS.inc()
        else:
            FINISHED_RUNS.inc()
    assert misused(metrics) == (choice == "log")


def test_misuse_is_counted_in_production_and_raises_under_debug(
    metrics: MetricsPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("django.core.mail.outbox")  # there in tests alone
    FINISHED_RUNS.inc()
    assert misused(metrics) == 1
    with override_settings(DEBUG=True), pytest.raises(MetricLabelsError):
        FINISHED_RUNS.inc()
