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
from django.test import Client, override_settings

from coordinator_site.startup import run_system_checks
from metrics_app import backend, current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.catalogue import Definition, Kind
from metrics_app.checks import (
    check_default_backend,
    check_directory,
    check_files_in_directory,
    check_middleware,
    check_settings,
    too_many_buckets,
)
from metrics_app.conf import SETTINGS, conf
from metrics_app.middleware import RequestMetricsMiddleware
from metrics_app.ports import GaugeSample, MetricsPort
from tests.exposition import value
from tests.metrics_settings import override_metrics

PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"
ROOT = Path(__file__).resolve().parents[3]


def test_there_is_one_adapter_per_process(metrics: MetricsPort) -> None:
    assert backend.get_metrics() is metrics
    assert isinstance(metrics, InMemoryMetricsAdapter)


def test_another_setting_gives_another_adapter() -> None:
    with override_metrics(BACKEND=PROMETHEUS):
        assert isinstance(backend.get_metrics(), PrometheusMetricsAdapter)
    assert isinstance(backend.get_metrics(), InMemoryMetricsAdapter)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("metrics_app.adapters.missing.Adapter", "cannot be imported"),
        ("metrics_app.adapters.memory.Missing", "cannot be imported"),
        ("nodots", "cannot be imported"),
        ("metrics_app.ports.MetricsLabels", "is not a metrics adapter"),
        ("metrics_app.backend.get_metrics", "is not a metrics adapter"),
    ],
)
def test_an_invalid_backend_is_refused(path: str, rule: str) -> None:
    with override_metrics(BACKEND=path):
        with pytest.raises(ImproperlyConfigured, match=rf"METRICS\['BACKEND'\]='{path}' {rule}"):
            RequestMetricsMiddleware(lambda _request: None)
        with pytest.raises(SystemCheckError, match=r"metrics_app\.E001"):
            call_command("check")
        with pytest.raises(ImproperlyConfigured, match=r"metrics_app\.E001"):
            run_system_checks()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below_a_file = tmp_path / "file" / "metrics"
    with (
        override_metrics(BACKEND=PROMETHEUS, DIRECTORY=below_a_file),
        pytest.raises(SystemCheckError, match=r"metrics_app\.E002"),
    ):
        call_command("check")


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with (
        override_metrics(BACKEND=PROMETHEUS, DIRECTORY=tmp_path),
        pytest.raises(SystemCheckError, match=r"metrics_app\.E003"),
    ):
        call_command("check")


def test_an_adapter_that_writes_no_files_needs_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with override_metrics(DIRECTORY=tmp_path / "file" / "metrics"):
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
    assert "(metrics_app.E001) METRICS['BACKEND']='nowhere.Adapter' cannot be imported" in run.stderr
    assert "HINT: Leave METRICS['BACKEND'] (or METRICS_BACKEND) out" in run.stderr


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
    with override_metrics(BACKEND=PROMETHEUS, DIRECTORY=directory):
        return [(message.id, message.msg) for message in check_files_in_directory()]


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    for name in ("app.db", "model.bin", "counter_slot-0.db"):
        (tmp_path / name).write_text("somebody else's")
    (tmp_path / "folder").mkdir()
    [(number, text)] = check_messages(tmp_path)
    assert number == "metrics_app.E005"
    assert "'app.db', 'counter_slot-0.db', 'folder' and 1 more" in text
    with (
        override_metrics(BACKEND=PROMETHEUS, DIRECTORY=tmp_path),
        pytest.raises(SystemCheckError, match=r"metrics_app\.E005"),
    ):
        call_command("check")


@pytest.mark.parametrize("directory", [Path("/"), Path.home()])
def test_a_directory_that_is_everybodys_is_refused(directory: Path) -> None:
    assert [number for number, _ in check_messages(directory)] == ["metrics_app.E005"]


def test_a_directory_with_the_adapters_files_and_those_of_prometheus_client_is_fine(tmp_path: Path) -> None:
    with override_metrics(BACKEND=PROMETHEUS, DIRECTORY=tmp_path):
        metrics = backend.get_metrics()
        metrics.request_recorder().begin("GET")
        metrics.request_recorder().finish(("GET", "home", 200), 0.1, "1" * 32)
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


def find_settings_problems(**keys: object) -> list[tuple[str | None, str, str | None]]:
    with override_settings(METRICS={"BACKEND": "metrics_app.adapters.memory.InMemoryMetricsAdapter", **keys}):
        return [(message.id, message.msg, message.hint) for message in check_settings()]


def test_settings_that_can_be_used_are_not_reported() -> None:
    assert find_settings_problems(EXCLUDE=["health"], TOKEN=None) == []


@pytest.mark.parametrize(
    ("keys", "number", "text", "hint"),
    [
        ({"EXCLUDES": []}, "E007", "METRICS has the unknown key 'EXCLUDES'.", "Did you mean 'EXCLUDE'?"),
        ({"exclude": []}, "E007", "METRICS has the unknown key 'exclude'.", "Did you mean 'EXCLUDE'?"),
        (
            {"MAX_LABEL_SETS": 0},
            "E008",
            "METRICS['MAX_LABEL_SETS']=0 is refused: use a whole number from 1 to 1,000,000.",
            "",
        ),
        ({"TOKEN": b"secret"}, "E008", "METRICS['TOKEN']='a secret bytes' is refused: use text.", ""),
        (
            {"LABELS": {"tenant": str}, "CONSTANT_LABELS": {"tenant": "one"}},
            "E009",
            "'tenant' is in both METRICS['LABELS'] and METRICS['CONSTANT_LABELS'].",
            "",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_reported(
    keys: dict[str, object], number: str, text: str, hint: str
) -> None:
    [(found, message, found_hint)] = find_settings_problems(**keys)
    assert (found, message) == (f"metrics_app.{number}", text)
    assert found_hint
    assert hint in found_hint


def test_a_setting_that_is_not_a_dictionary_is_reported() -> None:
    with override_settings(METRICS=["BACKEND"]):
        assert [message.id for message in check_settings()] == ["metrics_app.E006"]


def test_a_default_adapter_that_cannot_work_here_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrics_app.checks.find_missing_module", lambda: "prometheus_client")
    with override_settings(METRICS={}):
        [message] = check_default_backend()
    assert (message.id, message.hint and "pip install prometheus-client" in message.hint) == (
        "metrics_app.W004",
        True,
    )
    assert check_default_backend() == []  # a project that names its adapter knows


def test_a_directory_that_cannot_be_made_fails_the_scrape_and_nothing_else(
    tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with override_metrics(BACKEND=PROMETHEUS, DIRECTORY=tmp_path / "file" / "metrics"):
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == 503
    assert "Metrics of this process are not exposed" in caplog.text
    assert client.get("/metrics").status_code == 200


@pytest.fixture
def _default_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with override_settings(METRICS={"BACKEND": PROMETHEUS}):
        yield


@pytest.mark.usefixtures("_default_directory")
def test_the_default_directory_is_for_this_user_alone() -> None:
    assert backend.get_metrics()
    assert conf.directory.stat().st_mode & 0o777 == 0o700
    assert check_directory() == []


@pytest.mark.usefixtures("_default_directory")
@pytest.mark.parametrize("squatter", ["open", "symlink", "file"])
def test_a_default_directory_that_somebody_else_made_is_refused(tmp_path: Path, squatter: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if squatter == "open":
        conf.directory.mkdir()
        conf.directory.chmod(0o777)
    elif squatter == "symlink":
        conf.directory.symlink_to(elsewhere)
    else:
        conf.directory.touch()
    backend.get_metrics().inc_counter("orders_total", {})
    assert backend.has_failed()
    assert list(elsewhere.iterdir()) == []
    assert [message.id for message in check_directory()] == ["metrics_app.E002"]


def test_no_wrong_value_fails_a_request(tmp_path: Path) -> None:
    wrong: dict[str, object] = dict.fromkeys(SETTINGS, object())
    for key in SETTINGS.keys() - {"BACKEND", "DIRECTORY"}:
        with override_metrics(**{key: wrong[key]}):
            assert Client().get("/").status_code == 200
    with override_settings(METRICS={**wrong, "DIRECTORY": tmp_path, "UNKNOWN": 1}):
        assert len(check_settings()) == len(SETTINGS)
        assert Client().get("/").status_code == 200


@pytest.mark.parametrize(("times", "warnings"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_a_middleware_that_is_there_twice_is_warned_of(times: int, warnings: int) -> None:
    with override_settings(MIDDLEWARE=["metrics_app.middleware.RequestMetricsMiddleware"] * times):
        assert [message.id for message in check_middleware()] == ["metrics_app.W006"] * warnings
