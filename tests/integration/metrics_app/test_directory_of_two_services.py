"""Two services that keep their metrics in one directory are reported, and disturb no request."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client, override_settings

from metrics_app import backend
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, servers
from metrics_app.checks import check_files_in_directory, check_owners_of_directory
from tests.metrics_settings import override_metrics

PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"
pytestmark = pytest.mark.django_db  # a scrape reads gauges from it

SHOP = {"service": "shop", "instance": "a", "version": "1"}
BANK = {"service": "bank", "instance": "a", "version": "1"}


@contextmanager
def recording(directory: Path, labels: dict[str, str]) -> Iterator[None]:
    """A process of the service lives meanwhile, and has recorded."""
    with override_metrics(BACKEND=PROMETHEUS, DIRECTORY=directory, CONSTANT_LABELS=labels):
        adapter = backend.new_adapter()
        assert isinstance(adapter, PrometheusMetricsAdapter)
        adapter.announce()
    try:
        yield
    finally:
        adapter.close()


def serving(directory: Path, labels: dict[str, str]) -> override_settings:
    return override_metrics(BACKEND=PROMETHEUS, DIRECTORY=directory, CONSTANT_LABELS=labels)


def reported() -> list[tuple[str | None, str]]:
    assert check_files_in_directory() == []
    return [(message.id, message.msg) for message in check_owners_of_directory()]


def test_it_is_reported_before_the_second_service_records_and_logged_once_when_it_does(
    tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with recording(tmp_path, SHOP), serving(tmp_path, BANK):
        [(number, text)] = reported()
        assert number == "metrics_app.W005"
        assert "instance='a', service='shop'" in text
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == 200
        with recording(tmp_path, BANK):
            pass
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert ["service='shop'" in record.getMessage() for record in warnings] == [True]


def test_it_is_reported_to_the_first_service_too(tmp_path: Path) -> None:
    with recording(tmp_path, SHOP), recording(tmp_path, BANK), serving(tmp_path, SHOP):
        [(_, text)] = reported()
        assert "service='bank'" in text


def test_a_check_alone_writes_no_owner_down(tmp_path: Path) -> None:
    with recording(tmp_path, SHOP):
        with serving(tmp_path, BANK):
            backend.new_adapter().close()
        with serving(tmp_path, SHOP):
            assert reported() == []


@pytest.mark.parametrize("labels", [SHOP, {**SHOP, "version": "2"}])
def test_another_version_of_the_same_service_is_not_reported(
    tmp_path: Path, labels: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with recording(tmp_path, SHOP), recording(tmp_path, labels), serving(tmp_path, labels):
        assert reported() == []
    assert caplog.records == []


def test_a_service_that_comes_when_the_other_has_gone_is_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(tmp_path, SHOP):
        pass
    monkeypatch.setattr(servers, "is_alive", lambda _record: False)  # it is this process here
    with recording(tmp_path, BANK), serving(tmp_path, BANK):
        assert reported() == []


def test_without_constant_labels_the_settings_module_tells_services_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(tmp_path, {}), serving(tmp_path, {}):
        assert reported() == []
        monkeypatch.setattr(backend, "find_owner", lambda: "bank.settings")
        [(_, text)] = reported()
        assert "coordinator_site.settings" in text


@pytest.mark.parametrize("content", [b"", b'"cut o', b"\xff\xfe\n[1]\nnull\n", b"x" * 100_000])
def test_a_file_that_cannot_be_read_as_owners_disturbs_nothing(
    tmp_path: Path, client: Client, content: bytes
) -> None:
    with recording(tmp_path, SHOP), serving(tmp_path, BANK):
        (tmp_path / "directory.owners").write_bytes(content)
        assert reported() == []
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == 200


def test_a_file_of_owners_that_cannot_be_opened_fails_no_request(tmp_path: Path, client: Client) -> None:
    (tmp_path / "directory.owners").symlink_to(tmp_path / "elsewhere")
    with serving(tmp_path, BANK):
        assert client.get("/").status_code == 200
        assert client.get("/metrics").status_code == 200
    assert not (tmp_path / "elsewhere").exists()
