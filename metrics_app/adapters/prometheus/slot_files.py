"""The files of the slot that this process holds, and the cells of each series in them."""

from collections.abc import Callable
from pathlib import Path
from threading import RLock

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.utils import floatToGoString

from metrics_app.adapters.prometheus import cells, slots
from metrics_app.adapters.prometheus.values import Cell, CellSeries, HistogramCells, ValueFile
from metrics_app.catalogue import CATALOGUE, Definition, Kind


class SlotFiles:
    """The files of the slot this process holds, claimed when the first value is recorded."""

    def __init__(self, directory: Path, on_claim: Callable[[slots.Slot], None]) -> None:
        self.directory = directory
        # One lock for all values, re-entrant, for a finaliser may record in the midst of a recording.
        self.lock = RLock()
        self._slot: slots.Slot | None = None
        self._on_claim = on_claim
        self._files: dict[str, ValueFile] = {}

    def claim(self) -> slots.Slot:
        """The slot of this process.

        Raises:
            OSError: the directory cannot be written.
        """
        with self.lock:
            if self._slot is None:
                self._slot = slots.claim(self.directory)
                self._on_claim(self._slot)
            return self._slot

    def are_lost(self) -> bool:
        """Whether the directory was emptied or replaced since the slot was claimed."""
        with self.lock:
            return self._slot is not None and self._slot.is_lost()

    def forget(self) -> None:
        """Start anew in a forked child: the slot, its files and the state of the lock are the parent's."""
        self.lock = RLock()
        self._slot = None
        self._close_files()

    def close(self) -> None:
        with self.lock:
            if self._slot is not None:
                self._slot.release()
            self._slot = None
            self._close_files()

    def series(self, definition: Definition, label_values: tuple[str, ...]) -> CellSeries:
        """The cells of one series, with what an earlier owner of the slot left in them."""
        with self.lock:
            file = self._file(definition)
            name = family_name(definition)
            labels, help_text = list(definition.label_names), definition.help

            def cell(sample: str, **more: str) -> Cell:
                names, values = [*labels, *more], [*label_values, *more.values()]
                return file.cell(mmap_key(name, sample, names, values, help_text))

            if definition.kind is Kind.COUNTER:
                return cell(f"{definition.name.removesuffix('_total')}_total")
            if definition.kind is Kind.GAUGE:
                return cell(name)
            bounds = (*definition.buckets, float("inf"))
            buckets = [cell(f"{name}_bucket", le=floatToGoString(bound)) for bound in bounds]
            return HistogramCells(definition.buckets, buckets, cell(f"{name}_sum"))

    def stored_label_sets(self, definition: Definition) -> set[tuple[str, ...]]:
        """The label values that the slot holds for this metric, recorded by an earlier owner."""
        with self.lock:
            stored = self._file(definition).label_sets[family_name(definition)]
        found = set()
        for label_set in stored:
            labels = dict(label_set)
            if labels.keys() == set(definition.label_names):
                found.add(tuple(labels[label] for label in definition.label_names))
        return found

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _file(self, definition: Definition) -> ValueFile:
        prefix = f"gauge_{definition.merge}" if definition.kind is Kind.GAUGE else str(definition.kind)
        slot = self.claim()
        if prefix not in self._files:
            path = self.directory / f"{prefix}_{slot.number}.db"
            self._files[prefix] = ValueFile(path) if cells.contract_fault() else cells.MappedFile(path)
        return self._files[prefix]


def family_name(definition: Definition) -> str:
    """The name in the files: a counter's goes without `_total`, which is its sample's.

    Where the catalogue has a gauge of that name, it goes with it: the collector merges by this name.
    """
    short = definition.name.removesuffix("_total")
    return short if definition.kind is Kind.COUNTER and short not in CATALOGUE else definition.name
