"""Nothing is removed but the adapter's own files, and those only where nobody lives any more."""

import os
import sqlite3
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, folder
from tests.exposition import value
from tests.other_process import OtherProcess

STOCK_KEY = mmap_key("library", "library_total", [], [], "A library's.")


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE kept (number)")
    connection.close()


FOREIGN = [
    "app.db",
    "model.bin",
    "counter_slot-0.db",
    "gauge_livesum_slot-0.db",
    "gauge_livesum_0.db",
    "gauge_livesum_slot-9.db",
    "histogram_7.db",
    "summary_slot-0.db",
    "gauge_all_slot-0.db",
    "slot-0.runtime",
    "slot-0.exemplars",
    "slot-1.lock",
    "runtime-0.bin",
    "exemplars-0.bin",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_file_is_never_changed(directory: Path, name: str) -> None:
    database(directory / name)
    before = (directory / name).read_bytes()
    for _ in range(2):
        # Each is a server of its own that begins at zero.
        with OtherProcess(directory, own_server=True) as other:
            other.run("metrics.request_recorder().begin('GET')")
            other.run("metrics.request_recorder().finish(('GET', 'home', 200), 0.1, '1' * 32)")
            other.run("metrics.observe_histogram('waited', 1, {}); metrics.set_gauge('depth', 1, {})")
            other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert (directory / name).read_bytes() == before


@pytest.mark.parametrize("name", [name for name in FOREIGN if "slot-0" in name or name == "slot-1.lock"])
def test_symlink_with_an_adapter_file_name_is_not_followed(
    directory: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "app.db"
    database(target)
    before = target.read_bytes()
    (directory / name).symlink_to(target)
    (directory / "slot-0.lock").symlink_to(target)
    for _ in range(2):
        with OtherProcess(directory, own_server=True) as other:
            other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert target.read_bytes() == before
    assert (directory / name).is_symlink()


@pytest.mark.parametrize("name", ["counter_slot-0.db", "slot-0.lock", "slot-0.runtime", "app.db"])
def test_folder_or_pipe_with_an_adapter_file_name_is_left_alone(directory: Path, name: str) -> None:
    (directory / name).mkdir()
    (directory / name / "kept").touch()
    os.mkfifo(directory / "slot-1.lock")
    with OtherProcess(directory, own_server=True) as other:
        other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert (directory / name / "kept").exists()


def test_foreign_file_created_after_the_claim_is_never_changed(
    directory: Path, metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.inc_counter("orders_total", {})
    database(directory / "histogram_slot-0.db")
    before = (directory / "histogram_slot-0.db").read_bytes()
    metrics.observe_histogram("waited", 1, {})
    assert (directory / "histogram_slot-0.db").read_bytes() == before
    assert value(metrics.get_http_handler()().decode(), "orders_total") == 1
    assert "not a file of the metrics adapter" in caplog.text


def test_large_file_that_begins_with_zeros_is_foreign(directory: Path) -> None:
    content = bytes(folder.INITIAL_SIZE) + b"a picture of a disk"
    (directory / "counter_slot-0.db").write_bytes(content)
    with OtherProcess(directory, own_server=True) as other:
        other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert (directory / "counter_slot-0.db").read_bytes() == content


def test_prometheus_client_files_by_process_id_are_read_and_kept(directory: Path) -> None:
    for process in (0, 1, 4242):
        file = MmapedDict(str(directory / f"counter_{process}.db"))
        file.write_value(STOCK_KEY, 2.0, 0.0)
        file.close()
    for _ in range(2):
        with OtherProcess(directory, own_server=True) as other:
            other.run("assert b'library_total 6.0' in metrics.get_http_handler()()")


def test_new_server_removes_first_version_files_of_the_previous_one(directory: Path) -> None:
    for name in ("counter_0.db", "gauge_livesum_0.db"):
        file = MmapedDict(str(directory / name))
        file.write_value(STOCK_KEY, 2.0, 0.0)
        file.close()
    (directory / "runtime-0.bin").write_bytes(bytes(96))
    (directory / "slot-0.lock").write_text("4194304 12 00000000-0000-0000-0000-000000000000")
    with OtherProcess(directory, own_server=True):
        assert not {"counter_0.db", "gauge_livesum_0.db", "runtime-0.bin"} & {
            path.name for path in directory.iterdir()
        }


def test_first_version_names_belong_to_prometheus_client_once_that_version_is_gone(directory: Path) -> None:
    (directory / "slot-1.lock").write_text("4194304 12 00000000-0000-0000-0000-000000000000")
    with OtherProcess(directory, own_server=True) as other:
        # Process 1, as in a container, with prometheus_client's own mode of many processes.
        file = MmapedDict(str(directory / "gauge_livesum_1.db"))
        file.write_value(mmap_key("depth", "depth", [], [], "Help."), 2.0, 0.0)
        file.close()
        other.run("assert b'depth 2.0' in metrics.get_http_handler()()")
    with OtherProcess(directory, own_server=True):
        assert (directory / "gauge_livesum_1.db").exists()
