"""The values stand in the files as prometheus_client 0.26 would have written them."""

import tempfile
import time
from pathlib import Path

import pytest
from prometheus_client import mmap_dict

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.adapters.prometheus.files import UnreadableFileError, stored_keys
from metrics_app.adapters.prometheus.folder import INITIAL_SIZE
from metrics_app.adapters.prometheus.mapped_cells import contract_fault
from tests.exposition import samples, value


def read_by_prometheus_client(path: Path) -> dict[str, tuple[float, float]]:
    found = mmap_dict.MmapedDict.read_all_values_from_file(str(path))
    return {key: (number, timestamp) for key, number, timestamp, _ in found}


def test_prometheus_client_reads_what_is_written(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    for _ in range(2):
        metrics.inc_counter("orders_total", {"side": "buy", "market": "ä"})
    key = mmap_dict.mmap_key(
        "orders", "orders_total", ["market", "side"], ["ä", "buy"], "Not in the catalogue: orders_total."
    )
    assert read_by_prometheus_client(directory / "counter_slot-0.db") == {key: (2.0, 0.0)}


def test_a_gauge_tells_when_it_was_set(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    before = time.monotonic()
    metrics.set_gauge("scenario_runs", 3, {"state": "queued"})
    [(number, timestamp)] = read_by_prometheus_client(directory / "gauge_mostrecent_slot-0.db").values()
    assert number == 3
    assert before <= timestamp <= time.monotonic()


def test_cells_keep_counting_while_their_file_grows(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    for _ in range(2):
        for number in range(1000):
            metrics.inc_counter("orders_total", {"side": f"{number:0100}"})
    file = directory / "counter_slot-0.db"
    assert file.stat().st_size > INITIAL_SIZE
    assert [number for number, _ in read_by_prometheus_client(file).values()] == [2.0] * 1000


def test_a_counter_with_and_without_total_in_its_name_is_one(metrics: PrometheusMetricsAdapter) -> None:
    for name in ("orders", "orders_total", "orders"):
        metrics.inc_counter(name, {})
    assert value(metrics.get_http_handler()(), "orders_total") == 3


def test_label_sets_that_an_earlier_owner_left_count_towards_the_limit(directory: Path) -> None:
    for owner in range(5):
        metrics = PrometheusMetricsAdapter(directory=directory, max_label_sets=3)
        for side in ("buy", f"new {owner}"):
            metrics.inc_counter("orders_total", {"side": side})
        text = metrics.get_http_handler()()
        metrics.close()
    sides = {dict(labels)["side"] for labels in samples(text)["orders_total"]}
    assert sides == {"buy", "new 0", "new 1", "overflow"}
    assert value(text, "orders_total", side="buy") == 5


def test_unreadable_file_of_the_slot_is_replaced(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    (directory / "counter_slot-0.db").write_bytes(b"\xff" * 100)
    metrics.inc_counter("orders_total", {})
    assert value(metrics.get_http_handler()(), "orders_total") == 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b"\x08\0\0", "truncated"),
        (b"\x00\x02\0\0" + bytes(100), "truncated"),
        (b"\x40\0\0\0\0\0\0\0" + b"\xe4\xff\xff\xff" + bytes(60), "foreign"),
        (b"\x40\0\0\0\0\0\0\0" + b"\x04\0\0\0\xff\xff\xff\xff" + bytes(56), "foreign"),
    ],
)
def test_a_broken_file_is_refused_with_its_kind(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "counter_slot-0.db").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=fault):
        stored_keys(tmp_path / "counter_slot-0.db")


def test_the_installed_prometheus_client_is_inside_as_it_is_relied_on() -> None:
    contract_fault.cache_clear()
    assert contract_fault() is None


def test_without_a_place_for_temporary_files_the_public_methods_do(
    metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    contract_fault.cache_clear()
    metrics.inc_counter("orders_total", {})
    assert (contract_fault() or "").startswith("FileNotFoundError")
    assert value(metrics.get_http_handler()(), "orders_total") == 1
    contract_fault.cache_clear()
