"""The port by prometheus_client: values in the files of this process's slot, merged at the scrape."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from metrics_app.adapters.conversion import read_constant_labels
from metrics_app.adapters.detailed_recorder import HistogramsRecorder
from metrics_app.adapters.families import Families, ReentrantUseError
from metrics_app.adapters.prometheus import folder, forks, mapped_cells, owners, slots, upstream
from metrics_app.adapters.prometheus.collector import SlotCollector, StockCollector
from metrics_app.adapters.prometheus.descriptors import keep
from metrics_app.adapters.prometheus.exemplars import ExemplarRecord, stored_exemplars
from metrics_app.adapters.prometheus.exposition import Exposition, ScrapeGaugeCollector
from metrics_app.adapters.prometheus.folder import SECONDS_A_SCRAPE_WAITS
from metrics_app.adapters.prometheus.interpreter import needs_locks
from metrics_app.adapters.prometheus.library_collectors import LibraryCollectors
from metrics_app.adapters.prometheus.library_values import library
from metrics_app.adapters.prometheus.limitations import find_limitations
from metrics_app.adapters.prometheus.mapped_histograms import MappedHistogramsRecorder
from metrics_app.adapters.prometheus.native import NativeCollector
from metrics_app.adapters.prometheus.protobuf import ProtobufWriter
from metrics_app.adapters.prometheus.recorder import MappedRequestRecorder, SlotRequestRecorder
from metrics_app.adapters.prometheus.recordings import SlotRecordings
from metrics_app.adapters.prometheus.removal import remove_series
from metrics_app.adapters.prometheus.runtime import RuntimeCollector, RuntimeRecord
from metrics_app.adapters.prometheus.series_exemplars import stored_series_exemplars
from metrics_app.adapters.prometheus.slot_files import SlotFiles, SlotStore
from metrics_app.adapters.prometheus.snapshot import Series
from metrics_app.adapters.prometheus.temporary import make_temporary_directory
from metrics_app.adapters.prometheus.values import CellSeries, UnrecordedCell
from metrics_app.adapters.prometheus.writer import Writer
from metrics_app.adapters.prometheus.written_names import check_written_names
from metrics_app.adapters.scrape_gauges import ScrapeGaugeSources
from metrics_app.catalogue import (
    DEFAULT_MAX_LABEL_SETS,
    DROPPED_SERIES,
    HTTP_REQUEST_DURATION,
    SCRAPE_DURATION,
    SCRAPE_GAUGES_FAILURES,
    SCRAPE_SERIES,
)
from metrics_app.ports import ConstantLabels, Labels, MetricsOptions, MetricsPort, ScrapeGauges

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_COMPLAINTS = 60
SECONDS_BETWEEN_LOOKS = 1.0


class PrometheusMetricsAdapter(SlotRecordings):
    """Processes that share a directory are exposed as one, by whichever of them is scraped.

    Without a directory it keeps a temporary one, and the metrics are those of this process and of the
    children that it forks. Making an adapter takes no slot; the first recording does.

    Raises:
        OSError: the directory cannot be made.
    """

    def __init__(
        self,
        constant_labels: ConstantLabels | None = None,
        *,
        directory: Path | None = None,
        max_label_sets: int = DEFAULT_MAX_LABEL_SETS,
        native_histograms: bool = False,
        created: bool = False,
        owner: str = "",
    ) -> None:
        self._owner = owner
        self._constant_labels = read_constant_labels(constant_labels)
        # Wherever the process goes later, as a program does that becomes a daemon.
        self._directory = (directory or make_temporary_directory()).absolute()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._runtime: RuntimeRecord | None = None
        self._next_complaint = 0.0
        self._files = SlotFiles(self._directory, self._on_claim)
        self._files.notes_creations = created
        self._families: Families[CellSeries] = Families(
            self._constant_labels,
            max_label_sets,
            lock=self._files.lock,
            build=self._files.series,
            dropped=self._count_dropped,
            stored=self._files.stored_label_sets,
            removed=self._files.removed_label_sets,
            unwritable=self._record_nowhere,
        )
        self._families.look, self._families.next_look = self._look, 0.0
        self.library_store = SlotStore(self._files, self._families)
        self._native = NativeCollector(self._directory)
        if native_histograms:
            self._files.changing_native = self._families.changing
        self._sources = ScrapeGaugeSources(
            lambda sample: check_written_names(self._families.gauge(sample)), self._count_failure
        )
        known = mapped_cells.contract_fault() is None
        self._is_mapped = known and not needs_locks()
        recorder = MappedRequestRecorder if self._is_mapped else SlotRequestRecorder
        self._recorder = recorder(self._files, self._families)
        collector: type[SlotCollector | StockCollector] = SlotCollector if known else StockCollector
        self._collector = collector(self._directory)
        self._handler = Exposition(
            [
                self._collector,
                RuntimeCollector(self._directory),
                ScrapeGaugeCollector(self._sources),
                LibraryCollectors(lambda: library.find_store() is self.library_store),
            ],
            Writer(self._constant_labels, self._exemplars),
            self._before_scrape,
            self._after_scrape,
            ProtobufWriter(self._constant_labels, self._native.collect) if native_histograms else None,
        )
        forks.follow(self)

    @classmethod
    def configured(cls, options: MetricsOptions) -> Self:
        return cls(
            options.constant_labels,
            directory=options.directory,
            max_label_sets=options.max_label_sets,
            native_histograms=options.native_histograms,
            created=options.created,
            owner=options.owner,
        )

    @classmethod
    def directory_written(cls, options: MetricsOptions) -> Path | None:
        return options.directory

    @classmethod
    def foreign_files(cls, directory: Path) -> list[str]:
        return folder.foreign_files(directory)

    @classmethod
    def unreadable_files(cls, directory: Path) -> list[str]:
        return folder.unreadable_files(directory)

    @classmethod
    def find_other_owners(cls, options: MetricsOptions) -> list[str]:
        if options.directory is None or not options.owner:
            return []
        return owners.find_other_owners(options.directory, options.owner)

    @classmethod
    def take_over_libraries(cls, find_adapter: Callable[[], MetricsPort | None]) -> None:
        def find_store() -> SlotStore | None:
            adapter = find_adapter()
            return adapter.library_store if isinstance(adapter, PrometheusMetricsAdapter) else None

        upstream.install(find_store)

    @classmethod
    def limitations(cls) -> list[str]:
        return find_limitations()

    def remove(self, name: str, labels: Labels) -> None:
        self._remove(name, labels)

    def clear(self, name: str) -> None:
        self._remove(name, None)

    def get_http_handler(self) -> Exposition:
        return self._handler

    def request_recorder(self) -> SlotRequestRecorder:
        return self._recorder

    def detailed_recorder(self, histograms: Sequence[str]) -> HistogramsRecorder:
        found = self._families.request_histograms(histograms, self.bind_histograms)
        if isinstance(self._recorder, MappedRequestRecorder):
            return MappedHistogramsRecorder(self._recorder, found, self._families)
        return HistogramsRecorder(self._recorder, found)

    def register_scrape_gauges(self, read: ScrapeGauges) -> None:
        self._sources.register(read)

    def announce(self) -> None:
        """Take a slot, so that this worker's runtime metrics are exposed before its first recording."""
        try:
            with self._families.changing():
                self._files.claim()
        except ReentrantUseError:
            return  # the interrupted code takes one
        except OSError as error:
            self._complain(error)  # the values of other processes are exposed anyway
        # A child that was forked without hooks notices it with its first recording.
        self._families.next_look = 0.0
        library.bind()

    def close(self) -> None:
        with self._files.lock:
            self.store_cpu()
            self._forget()
            self._files.close()
            self._collector.close()
            self._native.close()

    def store_cpu(self) -> None:
        """Store the CPU time used so far, for the next owner of the slot."""
        if self._runtime is not None:
            self._runtime.store_cpu()

    def after_fork_in_child(self) -> None:
        """Forget the parent's slot and cells, and locks that its threads held."""
        self._files.forget()
        self._sources.forget_threads()
        self._collector.after_fork_in_child()
        self._native.after_fork_in_child()
        self._families.after_fork(self._files.lock)
        self._forget()

    def after_fork_in_parent(self) -> None:
        """Release the slot if nothing was recorded: a process that forks before it serves is a master."""
        recorded = self._families.all() or library.has_recorded()
        if not self._families.is_changing and not recorded:
            with self._files.lock:
                self._forget()
                self._files.release()

    def _forget(self) -> None:
        if self._files.are_closed():
            keep(self._runtime, self._recorder.exemplars)
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
        library.unbind(self.library_store)
        self._families.forget()
        self._recorder.forget()

    def _look(self) -> None:
        """Check from time to time that recordings go to files that are still read."""
        forks.notice_fork()
        self._families.next_look = time.perf_counter() + SECONDS_BETWEEN_LOOKS
        if self._files.are_lost():
            with suppress(ReentrantUseError):
                self._start_again()

    def _start_again(self) -> None:
        with self._families.changing():
            if not self._files.are_lost():
                return  # another thread was quicker
            logger.warning(
                "%s was emptied, or closed, under this process, which takes another slot", self._directory
            )
            in_progress = self._recorder.in_progress()
            self._forget()
            self._files.close()
            self._recorder.carry_on(in_progress)

    def _exemplars(self) -> Mapping[str, Mapping[Series, str]]:
        of_others = stored_series_exemplars(self._directory)
        return {**of_others, HTTP_REQUEST_DURATION: stored_exemplars(self._directory)}

    def _on_claim(self, slot: slots.Slot) -> None:
        # On a full disk, requests are counted without these, if there is room for that.
        with suppress(OSError):
            self._runtime = RuntimeRecord(self._directory, slot.number)
        with suppress(OSError):
            self._recorder.exemplars = ExemplarRecord(self._directory, slot.number)
        with suppress(OSError):
            self._note_owner()

    def _note_owner(self) -> None:
        if self._owner and (others := owners.note_owner(self._directory, self._owner)):
            logger.warning(
                "%s is the metrics directory of %s, too: each scrape shows their metrics as those of %s",
                self._directory,
                " and ".join(others),
                self._owner,
            )

    def _before_scrape(self) -> None:
        self._look()
        # A process that serves scrapes is a worker, too, so its runtime is in its first answer.
        self.announce()
        try:
            slots.forget_the_dead(self._directory, SECONDS_A_SCRAPE_WAITS)
        except OSError as error:
            logger.warning("This scrape may show live gauges of processes that are gone: %s", error)

    def _after_scrape(self, seconds: float, series: int) -> None:
        self._families.catch_up()
        self.set_gauge(SCRAPE_DURATION, seconds, {})
        self.set_gauge(SCRAPE_SERIES, float(series), {})

    def _record_nowhere(self, error: OSError) -> CellSeries:
        # A full disk must not fail the counted requests.
        self._complain(error)
        return UnrecordedCell()

    def _complain(self, error: OSError) -> None:
        if time.monotonic() >= self._next_complaint:
            self._next_complaint = time.monotonic() + SECONDS_BETWEEN_COMPLAINTS
            logger.error("Nothing new is recorded, %s cannot be written: %s", self._directory, error)

    def _remove(self, name: str, labels: Labels | None) -> None:
        definition = self._families.let_go(name, labels)
        if definition is not None:
            remove_series(self._directory, definition, self._families.written_labels(definition, labels))

    def _count_dropped(self, name: str) -> None:
        self.inc_counter(DROPPED_SERIES, {"metric": name})

    def _count_failure(self, source: str, reason: str) -> None:
        self.inc_counter(SCRAPE_GAUGES_FAILURES, {"source": source, "reason": reason})
