"""The port's own types, and what the port does not need."""

import subprocess
import sys

from metrics_app.ports import MetricsLabels


def test_empty_labels_are_left_out() -> None:
    assert MetricsLabels(method="GET", code="200").to_dict() == {"method": "GET", "code": "200"}
    assert MetricsLabels().to_dict() == {}


def test_constant_labels_are_service_instance_and_version() -> None:
    labels = MetricsLabels(service="shop", instance="shop-1", version="2.0", method="GET")
    assert labels.constant_labels() == {"service": "shop", "instance": "shop-1", "version": "2.0"}


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_the_port_needs_neither_django_nor_a_metrics_library() -> None:
    assert not loaded_by("metrics_app.ports") & {"django", "prometheus_client", "opentelemetry"}


def test_the_prometheus_adapter_needs_no_django() -> None:
    assert "django" not in loaded_by("metrics_app.adapters.prometheus")


def test_the_memory_adapter_needs_no_library() -> None:
    assert not loaded_by("metrics_app.adapters.memory") & {"django", "prometheus_client"}
