"""The files of the slot that this process holds, and the cells of each series in them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import RLock
from time import monotonic

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.utils import floatToGoString

from metrics_app.adapters.families import Families
from metrics_app.adapters.prometheus import mapped_cells, slots
from metrics_app.adapters.prometheus.compaction import Entries, compact
from metrics_app.adapters.prometheus.creation import PREFIX, note_creation
from metrics_app.adapters.prometheus.descriptors import keep
from metrics_app.adapters.prometheus.files import UnreadableFileError
from metrics_app.adapters.prometheus.folder import library_file, native_file, rewritten_file, values_file
from metrics_app.adapters.prometheus.native import NativeHistogramCells
from metrics_app.adapters.prometheus.series_exemplars import Exemplar, SeriesExemplars
from metrics_app.adapters.prometheus.values import Cell, CellSeries, HistogramCells, ValueFile
from metrics_app.adapters.prometheus.written_names import check_written_names
from metrics_app.catalogue import CATALOGUE, Definition, Kind

SECONDS_BETWEEN_TRIES = 10


class SlotFiles:
    """The files of the slot this process holds, claimed when the first value is recorded."""

    def __init__(self, directory: Path, on_claim: Callable[[slots.Slot], None]) -> None:
        self.directory = directory
        # One lock for all values, re-entrant because a finaliser may record during a recording.
        self.lock = RLock()
        self._presence = slots.arrive(directory, may_empty=True)
        self._slot: slots.Slot | None = None
        self._next_try = 0.0
        self._on_claim = on_claim
        self._files: dict[str, ValueFile] = {}
        self._exemplars: SeriesExemplars | None = None
        self.changing_native: Callable[[], AbstractContextManager[None]] | None = None
        """How a native bucket is made, when something falls into it: where histograms are native, too."""
        self.notes_creations = False
        """Whether it is noted when each counter and histogram began to count."""

    def claim(self) -> slots.Slot:
        """The slot of this process.

        Raises:
            OSError: the directory cannot be written.
        """
        with self.lock:
            if self._slot is None:
                self._slot = self._claimed()
                if self._presence is None:
                    self._presence = slots.arrive(self.directory, may_empty=False)
                self._on_claim(self._slot)
            return self._slot

    def _claimed(self) -> slots.Slot:
        if monotonic() < self._next_try:
            raise TimeoutError("another process keeps the metrics directory locked")
        try:
            return slots.claim(self.directory)
        except TimeoutError:
            # So that not every recording waits for a process that was stopped during a change.
            self._next_try = monotonic() + SECONDS_BETWEEN_TRIES
            raise

    def are_lost(self) -> bool:
        """Whether the directory, or a file of this slot, was removed since the slot was claimed."""
        with self.lock:
            if self._slot is None:
                return False
            # A list, because code that interrupts this may open another file.
            return self._slot.is_lost() or any(file.is_lost() for file in list(self._files.values()))

    def are_closed(self) -> bool:
        """Whether somebody closed the descriptors of this process since it claimed its slot."""
        with self.lock:
            return self._slot is not None and self._slot.is_closed()

    def forget(self) -> None:
        """Start again in a forked child: the slot, its files and the state of the lock are the parent's."""
        self.lock = RLock()
        self._slot = None
        self._close_files()

    def release(self) -> None:
        """Release the slot, and stay in the directory."""
        with self.lock:
            # First, so that recordings of a finaliser meanwhile go to another slot.
            slot, self._slot = self._slot, None
            if slot is not None and slot.is_closed():
                keep(self._exemplars, *self._files.values())
            self._close_files()
            if slot is not None:
                slot.release()

    def close(self) -> None:
        with self.lock:
            presence, self._presence = self._presence, None
            self.release()
            if presence is not None:
                presence.close()

    def series(self, definition: Definition, label_values: tuple[str, ...]) -> CellSeries:
        """The cells of one series, with the values of earlier owners of the slot."""
        check_written_names(definition)
        with self.lock:
            file = self._file(definition)
            name = family_name(definition)
            labels, help_text = list(definition.label_names), definition.help

            def cell(sample: str, **more: str) -> Cell:
                names, values = [*labels, *more], [*label_values, *more.values()]
                return file.cell(mmap_key(name, sample, names, values, help_text))

            if self.notes_creations and definition.kind is not Kind.GAUGE:
                created = self._opened(values_file(PREFIX, self.claim().number))
                note_creation(created.cell, name, labels, label_values)
            if definition.kind is Kind.COUNTER:
                return cell(f"{definition.name.removesuffix('_total')}_total")
            if definition.kind is Kind.GAUGE:
                return cell(name)
            bounds = definition.find_buckets(label_values)
            buckets = [cell(f"{name}_bucket", le=floatToGoString(bound)) for bound in (*bounds, float("inf"))]
            classic = HistogramCells(bounds, buckets, cell(f"{name}_sum"))
            if self.changing_native is None:
                return classic

            def native_cell(index: str) -> Cell:
                key = mmap_key(name, f"{name}_native", [*labels, "le"], [*label_values, index], help_text)
                return self._native_cell(key)

            return NativeHistogramCells(classic, native_cell)

    def _native_cell(self, key: str) -> Cell:
        assert self.changing_native is not None  # noqa: S101 - else there is no such histogram
        with self.changing_native():
            return self._opened(native_file(self.claim().number)).cell(key)

    def library_cell(self, prefix: str, key: str) -> Cell:
        """The cell of a metric that a library makes with prometheus_client.

        Raises:
            OSError: the directory cannot be written.
        """
        with self.lock:
            name = library_file(prefix, self.claim().number)
            return self._opened(name, is_timed=prefix.endswith("mostrecent")).cell(key)

    def note_exemplar(self, exemplar: Exemplar) -> None:
        """Show this exemplar with the series; does nothing on a full disk."""
        with suppress(OSError), self.lock:
            if self._exemplars is None:
                self._exemplars = SeriesExemplars(self.directory, self.claim().number)
            self._exemplars.store(exemplar)

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

    def removed_label_sets(self, definition: Definition) -> set[tuple[str, ...]]:
        """The label values of this metric in the slot that any process has removed."""
        name = values_file(file_prefix(definition), self.claim().number)
        is_timed = definition.kind is Kind.GAUGE and definition.merge.is_timed
        try:
            removed = Entries(self.directory / name).find_removed(is_timed=is_timed)
        except (OSError, UnreadableFileError):
            return set()
        metric = family_name(definition)
        return {
            tuple([dict(labels).get(label, "") for label in definition.label_names])
            for found, labels in removed
            if found == metric
        }

    def _close_files(self) -> None:
        self._exemplars = None
        files, self._files = self._files, {}
        for file in files.values():
            file.close()

    def _file(self, definition: Definition) -> ValueFile:
        is_timed = definition.kind is Kind.GAUGE and definition.merge.is_timed
        return self._opened(values_file(file_prefix(definition), self.claim().number), is_timed=is_timed)

    def _opened(self, name: str, *, is_timed: bool = False) -> ValueFile:
        if name not in self._files:
            made = ValueFile if mapped_cells.contract_fault() else mapped_cells.MappedFile
            compact(self.directory / name, self.directory / rewritten_file(self.claim().number))
            self._files[name] = made(self.directory / name, is_timed=is_timed)
        return self._files[name]


def file_prefix(definition: Definition) -> str:
    """The beginning of the names of the files that hold this metric."""
    return f"gauge_{definition.merge}" if definition.kind is Kind.GAUGE else str(definition.kind)


def family_name(definition: Definition) -> str:
    """The name in the files: that of a counter has no `_total`, which belongs to its sample.

    If the catalogue has a gauge with that name, `_total` stays, because the collector merges by this name.
    """
    short = definition.name.removesuffix("_total")
    return short if definition.kind is Kind.COUNTER and short not in CATALOGUE else definition.name


class SlotStore:
    """Stores the metrics that libraries make with prometheus_client in the files of the slot."""

    def __init__(self, files: SlotFiles, families: Families[CellSeries]) -> None:
        self._files = files
        self._families = families

    def changing(self) -> AbstractContextManager[None]:
        return self._families.changing()

    def library_cell(self, prefix: str, key: str) -> Cell:
        return self._files.library_cell(prefix, key)

    def note_exemplar(self, exemplar: Exemplar) -> None:
        self._files.note_exemplar(exemplar)

    @property
    def directory(self) -> Path:
        return self._files.directory
