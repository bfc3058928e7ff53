"""The site of the tests with metrics kept in memory, to be read back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import override_settings

from metrics_app.backend import get_metrics
from metrics_app.ports import MetricsPort

MEMORY = "metrics_app.adapters.memory.InMemoryMetricsAdapter"


@pytest.fixture(autouse=True)
def metrics(tmp_path: Path) -> Iterator[MetricsPort]:
    with override_settings(
        METRICS={"BACKEND": MEMORY, "DIRECTORY": tmp_path / "metrics"},
        ROOT_URLCONF="tests.metrics_site",
        MIDDLEWARE=["metrics_app.middleware.RequestMetricsMiddleware"],
        ALLOWED_HOSTS=["testserver"],
    ):
        # As in Django's own test client: a request leaves the connections of the tests alone.
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        yield get_metrics()
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
