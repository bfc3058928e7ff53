"""With a prometheus_client that is otherwise inside, its public methods are used, and a check says so."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import mmap_dict

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, mapped_cells
from metrics_app.adapters.prometheus.folder import MAGIC
from metrics_app.adapters.prometheus.mapped_cells import contract_fault
from metrics_app.adapters.prometheus.values import ValueFile
from metrics_app.checks import check_limitations
from tests.exposition import value
from tests.other_process import OtherProcess


class WithoutPositions(mmap_dict.MmapedDict):
    def write_value(self, key: str, number: float, timestamp: float) -> None:
        super().write_value(key, number, timestamp)  # type: ignore[no-untyped-call]
        del self._positions


class WithTimestampFirst(mmap_dict.MmapedDict):
    def write_value(self, key: str, number: float, timestamp: float) -> None:
        super().write_value(key, timestamp, number)  # type: ignore[no-untyped-call]


def other_key(*parts: object) -> str:
    return json.dumps(dict(enumerate(map(str, parts))))


@pytest.fixture(autouse=True)
def _reload_contract() -> Iterator[None]:
    contract_fault.cache_clear()
    yield
    contract_fault.cache_clear()


@pytest.fixture
def metrics(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrometheusMetricsAdapter]:
    monkeypatch.setattr(mapped_cells, "contract_fault", lambda: "made up")
    adapter = PrometheusMetricsAdapter(directory=directory, max_label_sets=3)
    yield adapter
    adapter.close()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("MmapedDict", WithoutPositions),
        ("MmapedDict", WithTimestampFirst),
        ("mmap_key", other_key),
        ("HEADER", 16),
    ],
)
def test_internal_differences_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str, other: object) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mapped_cells, name, other)
        assert contract_fault() is not None
        [message] = check_limitations()
    assert message.id == "metrics_app.W002"
    assert "prometheus_client 0.26" in message.msg
    contract_fault.cache_clear()
    assert check_limitations() == []


def test_all_types_are_recorded_and_exposed(metrics: PrometheusMetricsAdapter, directory: Path) -> None:
    with OtherProcess(directory):
        metrics.inc_counter("orders_total", {})
        metrics.set_gauge("scenario_runs", 5, {"state": "queued"})
        recorder = metrics.request_recorder()
        for _ in range(2):
            recorder.begin("GET")
        recorder.finish(("GET", "home", 500), 0.2)
        text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 2
    assert value(text, "scenario_runs", state="queued") == 5
    assert value(text, "http_requests_in_progress") == value(text, "http_request_errors_total") == 1
    assert value(text, "http_request_duration_seconds_bucket", le="0.25") == 1


def test_the_next_owner_of_a_slot_carries_on(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    for side in ("buy", "sell"):
        metrics.inc_counter("orders_total", {"side": side})
        metrics.close()
    for side in ("hold", "new"):
        metrics.inc_counter("orders_total", {"side": side})
    text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 4
    assert value(text, "orders_total", side="overflow") == 1


def test_unreadable_file_is_replaced(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    (directory / "counter_0.db").write_bytes(struct.pack("i", 1000) + b"\xff" * 100)
    metrics.inc_counter("orders_total", {})
    assert value(metrics.get_http_handler()(), "orders_total") == 1


def test_the_two_ways_write_the_same_file(tmp_path: Path) -> None:
    keys = [mmap_dict.mmap_key(f"m{number}", f"m{number}", [], [], "Help.") for number in range(2000)]
    for name, kind in {"mapped": mapped_cells.MappedFile, "public": ValueFile}.items():
        file = kind(tmp_path / name)
        for number, key in enumerate(keys):
            file.cell(key).add(number)
        file.close()
    mapped, public = (tmp_path / "mapped").read_bytes(), (tmp_path / "public").read_bytes()
    # Between the size and the first entry stands what marks a file as the adapter's own.
    assert (mapped[:4], mapped[4:8], mapped[8:]) == (public[:4], MAGIC, public[8:])
