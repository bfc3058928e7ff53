"""Files are read into memory that is kept, or in another way, with the same result."""

import os
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from metrics_app.adapters.prometheus import collector, known_files
from metrics_app.adapters.prometheus.collector import SlotCollector
from metrics_app.adapters.prometheus.merge import add_columns
from metrics_app.adapters.prometheus.writer import Writer

SERIES = 30
PROCESSES = 20


class Files:
    """Counters and histograms of several processes, whose values are no whole numbers."""

    def __init__(self, directory: Path) -> None:
        self._files = [
            MmapedDict(str(directory / f"{kind}_{process}.db"))
            for process in range(PROCESSES)
            for kind in ("counter", "histogram")
        ]
        self._numbers = count(1)
        self.add(SERIES)

    def add(self, series: int) -> None:
        for number in range(series):
            labels = ["x"], [str(number)]
            for file in self._files:
                file.write_value(mmap_key("a", "a_total", *labels, "Help."), 0.1 * next(self._numbers), 0.0)

    def close(self) -> None:
        for file in self._files:
            file.close()


@pytest.fixture(params=["kept memory", "too large", "no preadv", "arrays"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "too large":
        monkeypatch.setattr(known_files, "MAX_KEPT", 100)
    elif request.param == "no preadv":
        others = {name: getattr(os, name) for name in dir(os) if name != "preadv"}
        monkeypatch.setattr(known_files, "os", SimpleNamespace(**others))
    elif request.param == "arrays":
        monkeypatch.setattr(collector, "MAX_OBJECTS", SERIES * 3)


@pytest.mark.usefixtures("_way")
def test_each_scrape_is_the_stock_collectors_however_files_are_read(tmp_path: Path) -> None:
    files = Files(tmp_path)
    ours, writer, stock = SlotCollector(tmp_path), Writer({}), CollectorRegistry()
    MultiProcessCollector(stock, str(tmp_path))
    for series in (SERIES, SERIES, 2 * SERIES, 2 * SERIES, 10 * SERIES):
        files.add(series)
        text = writer.text(ours.snapshots()[:-1], generate_latest, "text/plain")
        assert text == generate_latest(stock)
    files.close()


def test_columns_are_added_in_their_order() -> None:
    # Added in another order, or with a correction, these give something else.
    columns = [(1e16, 0.1), (1.0, 0.2), (-1e16, 0.3), (1.0, float("nan")), (0.5, 1.0)]
    expected = [0.0, 0.0]
    for column in columns:
        expected = [total + value for total, value in zip(expected, column, strict=True)]
    found = add_columns([0.0, 0.0], columns)
    assert list(map(repr, found)) == list(map(repr, expected)), sys.version
    assert repr(add_columns([0.0], [(-0.0,), (-0.0,)])) == "[0.0]"
