"""Gauges that are read at the scrape, within a time limit that holds even if the reading hangs."""

import logging
import threading
import time
from collections.abc import Callable

from metrics_app.adapters.conversion import to_number, to_text
from metrics_app.catalogue import Definition
from metrics_app.ports import GaugeSample, ScrapeGauges

logger = logging.getLogger(__name__)

TIME_LIMIT = 0.5
"""Seconds that all readings of one scrape have together."""

DefinedSample = tuple[Definition, GaugeSample]


def source_name(source: ScrapeGauges) -> str:
    return f"{source.__module__}.{getattr(source, '__qualname__', type(source).__qualname__)}"


class _Reading:
    """One call of a source in a separate thread, because a thread that hangs can only be left behind."""

    def __init__(self, source: ScrapeGauges, define: Callable[[GaugeSample], Definition]) -> None:
        self._source = source
        self._define = define
        self.samples: list[DefinedSample] | None = None
        self.refused = 0
        self.done = threading.Event()
        threading.Thread(target=self._run, name=source_name(source), daemon=True).start()

    def _run(self) -> None:
        try:
            samples = [self._defined(sample) for sample in self._source()]
            self.samples = [sample for sample in samples if sample is not None]
        except Exception:  # the scrape must answer, whatever the source raises
            logger.warning("Gauges of %r could not be read", self._source, exc_info=True)
        finally:
            self.done.set()

    def _defined(self, sample: GaugeSample) -> DefinedSample | None:
        """The sample as it is exposed; if it cannot be, the failure is counted, and this returns None."""
        try:
            name, labels, value = sample
            texts = {label: to_text(of_label) for label, of_label in labels.items()}
            definition = self._define(GaugeSample(name, texts, to_number(value)))
            own = {label: texts[label] for label in definition.label_names if label in texts}
            return definition, GaugeSample(name, own, to_number(value))
        except Exception as error:  # noqa: BLE001 - whatever its labels or its value raise
            self.refused += 1
            logger.warning("A gauge of %r could not be read: %s", self._source, error)
            return None


def _is_known(sample: DefinedSample, series: set[object]) -> bool:
    """Whether these series have it already; it is added, because a text may have each series once."""
    _, (name, labels, _) = sample
    before = len(series)
    series.add((name, frozenset(labels.items())))
    return len(series) == before


class ScrapeGaugeSources:
    """Reads every registered source.

    `define` returns the definition of a gauge, or raises. `failed` is called with the name of a source that
    could not be read, or returned what cannot be exposed, and 'raised' or 'hung'.
    """

    def __init__(
        self,
        define: Callable[[GaugeSample], Definition],
        failed: Callable[[str, str], None],
    ) -> None:
        self._define = define
        self._failed = failed
        self._readings: dict[ScrapeGauges, _Reading | None] = {}
        self._lock = threading.Lock()

    def forget_threads(self) -> None:
        """Start again in a forked child: threads do not survive fork."""
        self._lock = threading.Lock()
        self._readings = dict.fromkeys(self._readings)

    def register(self, read: ScrapeGauges) -> None:
        self._readings.setdefault(read)

    def read(self) -> list[DefinedSample]:
        """The samples of every source that answers in time."""
        end = time.monotonic() + TIME_LIMIT
        samples: list[DefinedSample] = []
        series: set[object] = set()
        for source, reading in [(source, self._start(source)) for source in list(self._readings)]:
            if not reading.done.wait(max(0.0, end - time.monotonic())):
                self._failed(source_name(source), "hung")
            elif reading.samples is None:
                self._failed(source_name(source), "raised")
            else:
                new = [sample for sample in reading.samples if not _is_known(sample, series)]
                for _ in range(reading.refused + len(reading.samples) - len(new)):
                    self._failed(source_name(source), "raised")
                samples += new
        return samples

    def _start(self, source: ScrapeGauges) -> _Reading:
        with self._lock:
            reading = self._readings[source]
            # A call that still runs is awaited again, so that a source that hangs holds one thread, not one
            # per scrape.
            if reading is None or reading.done.is_set():
                reading = self._readings[source] = _Reading(source, self._define)
            return reading
