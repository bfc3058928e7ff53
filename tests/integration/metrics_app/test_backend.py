"""The settings choose the adapter; wrong ones stop the start."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import override_settings

from coordinator_site.startup import refuse_what_checks_find
from metrics_app import backend, current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.catalogue import Definition, Kind
from metrics_app.checks import check_directory, check_files_in_directory, too_many_buckets
from metrics_app.ports import GaugeSample, MetricsPort
from tests.exposition import value

PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"
ROOT = Path(__file__).resolve().parents[3]


def test_there_is_one_adapter_per_process(metrics: MetricsPort) -> None:
    assert backend.get_metrics() is metrics
    assert isinstance(metrics, InMemoryMetricsAdapter)


def test_another_setting_gives_another_adapter() -> None:
    with override_settings(METRICS_BACKEND=PROMETHEUS):
        assert isinstance(backend.get_metrics(), PrometheusMetricsAdapter)
    assert isinstance(backend.get_metrics(), InMemoryMetricsAdapter)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("metrics_app.adapters.missing.Adapter", "cannot be imported"),
        ("metrics_app.adapters.memory.Missing", "cannot be imported"),
        ("nodots", "cannot be imported"),
        ("metrics_app.ports.MetricsLabels", "is no metrics adapter"),
        ("metrics_app.backend.get_metrics", "is no metrics adapter"),
    ],
)
def test_a_backend_that_is_none_is_refused(path: str, rule: str) -> None:
    with override_settings(METRICS_BACKEND=path):
        with pytest.raises(ImproperlyConfigured, match=f"METRICS_BACKEND='{path}' {rule}"):
            backend.get_metrics()
        with pytest.raises(SystemCheckError, match=r"metrics_app\.E001"):
            call_command("check")
        with pytest.raises(ImproperlyConfigured, match=r"metrics_app\.E001"):
            refuse_what_checks_find()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below_a_file = tmp_path / "file" / "metrics"
    with (
        override_settings(METRICS_BACKEND=PROMETHEUS, PROMETHEUS_MULTIPROC_DIR=below_a_file),
        pytest.raises(SystemCheckError, match=r"metrics_app\.E002"),
    ):
        call_command("check")


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with (
        override_settings(METRICS_BACKEND=PROMETHEUS, PROMETHEUS_MULTIPROC_DIR=tmp_path),
        pytest.raises(SystemCheckError, match=r"metrics_app\.E003"),
    ):
        call_command("check")


def test_an_adapter_that_writes_no_files_needs_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with override_settings(PROMETHEUS_MULTIPROC_DIR=tmp_path / "file" / "metrics"):
        assert check_directory() == []


@pytest.mark.parametrize(("bounds", "warnings"), [(20, 0), (21, 1)])
def test_a_histogram_with_too_many_buckets_is_warned_of(bounds: int, warnings: int) -> None:
    definition = Definition("a_seconds", Kind.HISTOGRAM, "", buckets=tuple(map(float, range(bounds))))
    assert [message.id for message in too_many_buckets([definition])] == ["metrics_app.W001"] * warnings


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_a_server_does_not_start_with_a_wrong_backend(kind: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import coordinator_site.{kind}"],
        cwd=ROOT,
        env={**os.environ, "METRICS_BACKEND": "nowhere.Adapter", "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "(metrics_app.E001) METRICS_BACKEND='nowhere.Adapter' cannot be imported" in run.stderr


@pytest.fixture
def _no_sources_of_others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(current, "_scrape_gauges", [])
    backend.reset()  # an adapter that is there already reads the others' too
    yield
    backend.reset()


@pytest.mark.usefixtures("_no_sources_of_others")
@pytest.mark.django_db(transaction=True)
def test_gauges_registered_once_are_read_by_every_adapter_and_leave_no_connection() -> None:
    connections: list[object] = []

    def outstanding() -> Iterable[GaugeSample]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 3")
            row = cursor.fetchone()
        connections.append(connection.connection)
        assert row is not None
        return [GaugeSample("scenario_outstanding_faults", {}, row[0])]

    backend.get_metrics()
    backend.register_scrape_gauges(outstanding)
    for _ in range(2):
        assert value(backend.get_metrics().get_http_handler()(), "scenario_outstanding_faults") == 3
        backend.reset()
    assert len(connections) == 2
    assert connections[0] is not connections[1]


def check_messages(directory: Path) -> list[tuple[str | None, str]]:
    with override_settings(METRICS_BACKEND=PROMETHEUS, PROMETHEUS_MULTIPROC_DIR=directory):
        return [(message.id, message.msg) for message in check_files_in_directory()]


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    for name in ("app.db", "model.bin", "counter_slot-0.db"):
        (tmp_path / name).write_text("somebody else's")
    (tmp_path / "folder").mkdir()
    [(number, text)] = check_messages(tmp_path)
    assert number == "metrics_app.E005"
    assert "'app.db', 'counter_slot-0.db', 'folder' and 1 more" in text
    with (
        override_settings(METRICS_BACKEND=PROMETHEUS, PROMETHEUS_MULTIPROC_DIR=tmp_path),
        pytest.raises(SystemCheckError, match=r"metrics_app\.E005"),
    ):
        call_command("check")


@pytest.mark.parametrize("directory", [Path("/"), Path.home()])
def test_a_directory_that_is_everybodys_is_refused(directory: Path) -> None:
    assert [number for number, _ in check_messages(directory)] == ["metrics_app.E005"]


def test_a_directory_with_the_adapters_files_and_those_of_prometheus_client_is_fine(tmp_path: Path) -> None:
    with override_settings(METRICS_BACKEND=PROMETHEUS, PROMETHEUS_MULTIPROC_DIR=tmp_path):
        metrics = backend.get_metrics()
        metrics.request_recorder().begin("GET")
        metrics.request_recorder().finish("GET", "home", 200, 0.1, "1" * 32)
    for name in ("counter_4242.db", "gauge_liveall_17.db", "runtime-0.bin", ".nfs0001"):
        (tmp_path / name).touch()
    (tmp_path / "lost+found").mkdir()
    assert check_messages(tmp_path) == []


def test_files_that_another_user_closed_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "directory.lock").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    assert [number for number, _ in check_messages(tmp_path)] == ["metrics_app.W003"]
