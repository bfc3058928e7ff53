"""Runs prometheus_client's own tests of its multiprocess mode on this package's values and collector.

It is put beside those tests as their `conftest.py`. A process is there what the tests say it is: a function
that tells its id, so that the id takes the place of a slot's number.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import multiprocess, values

from metrics_app.adapters.prometheus import mapped_cells, upstream
from metrics_app.adapters.prometheus.collector import SlotCollector
from metrics_app.adapters.prometheus.library_values import Library, LibraryCell, LibraryValue


class StoreOfTests:
    def __init__(self, process: object) -> None:
        self.process = process
        self.directory = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        self._files: dict[str, mapped_cells.MappedFile] = {}

    def changing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def library_cell(self, prefix: str, key: str) -> LibraryCell:
        if prefix not in self._files:
            self._files[prefix] = mapped_cells.MappedFile(self.directory / f"{prefix}_{self.process}.db")
        return self._files[prefix].cell(key)

    def note_exemplar(self, _exemplar: object) -> None:
        """It stays with its value."""


def multi_process_value(process_identifier: Callable[[], object] = os.getpid) -> type[LibraryValue]:
    class Value(LibraryValue):
        __slots__ = ()
        library = Library()
        store: StoreOfTests | None = None

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.follow_process()
            self.library.bind()

        def follow_process(self) -> None:
            cls = type(self)
            if cls.store is None or cls.store.process != process_identifier():
                if cls.store is not None:
                    self.library.unbind(cls.store)
                cls.store = StoreOfTests(process_identifier())

        def inc(self, amount: float) -> None:
            self.follow_process()
            super().inc(amount)

        def set(self, value: float, timestamp: float | None = None) -> None:
            self.follow_process()
            super().set(value, timestamp)

        def get(self) -> float:
            self.follow_process()
            return super().get()

    Value.library.find_store = lambda: Value.store
    return Value


class Collector(SlotCollector):
    _stock: Any = multiprocess.MultiProcessCollector

    def __init__(self, registry: Any, path: str | None = None) -> None:
        super().__init__(Path(self._stock(None, path)._path))
        if registry:
            registry.register(self)


def pytest_configure() -> None:
    assert upstream.contract_fault() is None
    values.MultiProcessValue = multi_process_value
    multiprocess.MultiProcessCollector = Collector  # type: ignore[misc]


@pytest.fixture(autouse=True)
def _values_in_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """All other tests of prometheus_client have values in one process's files."""
    if "multiprocess" not in request.path.name:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        value_class = multi_process_value(lambda: "one")
        value_class("gauge", "any", "any", (), (), "help", "all")
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
        monkeypatch.setattr(values, "ValueClass", value_class)
