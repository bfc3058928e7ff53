"""The port by OpenTelemetry: a separate thread pushes the values of this process to a collector."""

import atexit
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from threading import RLock
from typing import Self, cast
from weakref import WeakSet

from metrics_app.adapters.bound import Bound, BoundGauge, BoundHistograms
from metrics_app.adapters.conversion import read_constant_labels, to_amount, to_number
from metrics_app.adapters.detailed_recorder import HistogramsRecorder
from metrics_app.adapters.families import Families
from metrics_app.adapters.opentelemetry import series
from metrics_app.adapters.opentelemetry.environment import PushSettings, push_settings
from metrics_app.adapters.opentelemetry.push import Pusher
from metrics_app.adapters.opentelemetry.recorder import PushedRequestRecorder
from metrics_app.adapters.opentelemetry.series import Level, PushedSeries
from metrics_app.adapters.scrape_gauges import ScrapeGaugeSources
from metrics_app.catalogue import (
    DEFAULT_MAX_LABEL_SETS,
    DROPPED_SERIES,
    SCRAPE_GAUGES_FAILURES,
    Definition,
    Kind,
)
from metrics_app.ports import ConstantLabels, GaugeSample, Labels, MetricsOptions, ScrapeGauges

logger = logging.getLogger(__name__)

LAST_PUSH_SECONDS = 5.0
"""How long a process waits at its end for its last push: a collector that is down must not hold it."""


class OpenTelemetryMetricsAdapter:
    """Every process pushes its own values, as a separate instance. Its first recording starts the push.

    Raises:
        AdapterSettingsError: an OTEL_* variable asks for what cannot be done.
    """

    def __init__(
        self,
        constant_labels: ConstantLabels | None = None,
        *,
        max_label_sets: int = DEFAULT_MAX_LABEL_SETS,
    ) -> None:
        self._constant_labels = read_constant_labels(constant_labels)
        self._max_label_sets = max_label_sets
        self._settings = push_settings()
        # Re-entrant, because a finaliser may record during a recording.
        self._lock = RLock()
        self._pusher: Pusher | None = None
        self._families: Families[PushedSeries] = Families(
            self._constant_labels,
            max_label_sets,
            lock=self._lock,
            build=self._build,
            dropped=self._count_dropped,
        )
        self._sources = ScrapeGaugeSources(self._gauge, self._count_failure)
        self._recorder = PushedRequestRecorder(self._families, lambda: self._lock)
        _adapters.add(self)

    @classmethod
    def configured(cls, options: MetricsOptions) -> Self:
        return cls(options.constant_labels, max_label_sets=options.max_label_sets)

    @classmethod
    def directory_written(cls, _options: MetricsOptions) -> Path | None:
        return None

    @classmethod
    def foreign_files(cls, _directory: Path) -> list[str]:
        return []

    @classmethod
    def unreadable_files(cls, _directory: Path) -> list[str]:
        return []

    @classmethod
    def limitations(cls) -> list[str]:
        return []

    def inc_counter(self, name: str, labels: Labels) -> None:
        counter = self._families.series(Kind.COUNTER, name, labels)
        with self._lock:
            counter.add(1.0)

    def observe_histogram(self, name: str, value: float, labels: Labels) -> None:
        amount = to_amount(value)
        self._families.series(Kind.HISTOGRAM, name, labels).add(amount)

    def set_gauge(self, name: str, value: float, labels: Labels) -> None:
        number = to_number(value)
        gauge = cast("Level", self._families.series(Kind.GAUGE, name, labels))
        with self._lock:
            gauge.set(number)

    def bind_counter(self, name: str, labels: Labels) -> Bound[PushedSeries]:
        return self._families.bound(Kind.COUNTER, name, labels)

    def bind_histogram(self, name: str, labels: Labels) -> Bound[PushedSeries]:
        return self._families.bound(Kind.HISTOGRAM, name, labels)

    def bind_histograms(self, series: Sequence[tuple[str, Labels]]) -> BoundHistograms[PushedSeries]:
        return self._families.bound_histograms(series)

    def bind_gauge(self, name: str, labels: Labels) -> BoundGauge[PushedSeries]:
        return self._families.bound_gauge(name, labels)

    def note_exemplar(self, name: str, labels: Labels, value: float, exemplar: Labels) -> None:
        """This adapter has no exemplars."""

    def remove(self, name: str, labels: Labels) -> None:
        self._remove(name, labels)

    def clear(self, name: str) -> None:
        self._remove(name, None)

    def get_http_handler(self) -> "PushNotice":
        return PushNotice(self._settings)

    def request_recorder(self) -> PushedRequestRecorder:
        return self._recorder

    def detailed_recorder(self, histograms: Sequence[str]) -> HistogramsRecorder:
        found = self._families.request_histograms(histograms, self.bind_histograms)
        return HistogramsRecorder(self._recorder, found)

    def register_scrape_gauges(self, read: ScrapeGauges) -> None:
        self._sources.register(read)

    def push_now(self, seconds: float = LAST_PUSH_SECONDS) -> bool:
        """Push what was recorded until now; returns whether that took at most this many seconds."""
        with self._lock:
            self._start_pushing()
            pusher = self._pusher
        return pusher is not None and pusher.push_now(seconds)

    def announce(self) -> None:
        """The first recording starts the push, so that a master that only forks pushes nothing."""

    def close(self) -> None:
        with self._lock:
            families = self._families.all()
            pusher = self._forget()
        if pusher is not None and not pusher.stop(families, LAST_PUSH_SECONDS):
            logger.warning(
                "The last metrics of process %d are lost: %s did not accept them within %g s",
                *(os.getpid(), self._settings.shown_endpoint, LAST_PUSH_SECONDS),
            )

    def after_fork_in_child(self) -> None:
        """Forget the parent's counts, which it pushes itself, and its thread, which the child lacks."""
        self._lock = RLock()
        self._sources.forget_threads()
        self._families.after_fork(self._lock)
        self._forget()

    def _forget(self) -> Pusher | None:
        pusher, self._pusher = self._pusher, None
        self._families.forget()
        self._recorder.forget()
        return pusher

    def _build(self, definition: Definition, label_values: tuple[str, ...]) -> PushedSeries:
        built = series.series(definition, label_values, self._many_waiting)
        self._start_pushing()
        return built

    def _start_pushing(self) -> None:
        if self._pusher is not None:
            return
        try:
            self._pusher = Pusher(
                self._settings,
                self._constant_labels,
                self._max_label_sets,
                self._families.all,
                self._sources.read,
            )
        except RuntimeError as error:
            # Python starts no more threads once it has begun to end.
            logger.warning("Recorded after the last push, and lost: %s", error)

    def _many_waiting(self) -> None:
        if self._pusher is not None:
            self._pusher.take_observations_soon()

    def _gauge(self, sample: GaugeSample) -> Definition:
        return series.checked(self._families.gauge(sample))

    def _remove(self, name: str, labels: Labels | None) -> None:
        self._families.let_go(name, labels)

    def _count_dropped(self, name: str) -> None:
        self.inc_counter(DROPPED_SERIES, {"metric": name})

    def _count_failure(self, source: str, reason: str) -> None:
        self.inc_counter(SCRAPE_GAUGES_FAILURES, {"source": source, "reason": reason})


class PushNotice:
    """Answers a scrape with the reason why nothing is exposed."""

    def __init__(self, settings: PushSettings) -> None:
        self._settings = settings

    def __call__(self, _accept: str = "", /) -> bytes:
        """An exposition without samples, in the text format: OpenMetrics has no comments."""
        if self._settings.disabled:
            return (
                b"# Metrics are pushed nowhere, for OTEL_SDK_DISABLED is true; there is nothing to scrape.\n"
            )
        where = self._settings.shown_endpoint
        return (
            f"# Metrics are pushed by OTLP to {where}, every {self._settings.interval:g} s "
            f"by each process; there is nothing to scrape here.\n"
        ).encode()

    def content_type(self, _accept: str = "", /) -> str:
        return "text/plain; version=0.0.4; charset=utf-8"


_adapters: WeakSet[OpenTelemetryMetricsAdapter] = WeakSet()


def _after_fork_in_child() -> None:
    for adapter in _adapters:
        adapter.after_fork_in_child()


def _close_all() -> None:
    for adapter in list(_adapters):
        adapter.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_close_all)
