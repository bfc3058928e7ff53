"""The SDK, and the only thread that touches it: no recording ever waits for a push."""

# The SDK would import three of these when it first needs them, in the push's thread. A fork meanwhile
# would leave the child with modules that are half imported, and for ever.
import concurrent.futures.thread  # noqa: F401
import logging
import math
import netrc  # noqa: F401
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from enum import Enum
from queue import Empty, SimpleQueue

import requests  # noqa: F401
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Histogram, Observation
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import (
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from metrics_app.adapters.families import Family
from metrics_app.adapters.opentelemetry.environment import PushSettings
from metrics_app.adapters.opentelemetry.removal import KnownSeries
from metrics_app.adapters.opentelemetry.runtime import runtime_samples
from metrics_app.adapters.opentelemetry.series import Level, Observations, PushedSeries, attributes
from metrics_app.adapters.scrape_gauges import DefinedSample
from metrics_app.catalogue import Definition, Kind, Merge

logger = logging.getLogger(__name__)

RecordedFamilies = list[Family[PushedSeries]]

IN_RESOURCE = frozenset({"service", "version", "instance"})
"""The constant labels that have a name of their own in the semantic conventions."""


class Sdk:
    """One meter provider, and the instruments made so far."""

    def __init__(self, endpoint: str, resource: Mapping[str, str], max_label_sets: int) -> None:
        # The families enforce the limit; the SDK's own limit must leave room for their overflow series.
        limit = max_label_sets + 1
        self._exporter = OTLPMetricExporter(endpoint=endpoint)
        # Without an interval the reader has no thread. It would start again in each forked child, and push
        # the parent's counts again.
        self._reader = PeriodicExportingMetricReader(
            self._exporter,
            export_interval_millis=math.inf,
            cardinality_limits={
                SdkHistogram: limit,
                ObservableCounter: limit,
                ObservableGauge: limit,
                ObservableUpDownCounter: limit,
            },
        )
        self._provider = MeterProvider(
            [self._reader], resource=detected_resource(resource), shutdown_on_exit=False
        )
        self._meter = self._provider.get_meter("metrics_app")
        self._known = KnownSeries(self._provider)
        self._histograms: dict[str, Histogram] = {}
        self._observable: set[str] = set()
        self._observed: dict[str, list[Observation]] = {}

    def take_observations(self, families: RecordedFamilies) -> None:
        """Pass on what the histograms have observed since the last call."""
        self._known.compare(families)
        for family in families:
            for series in list(family.series.values()):
                if isinstance(series, Observations):
                    histogram = self._histogram(family.definition)
                    # Not until the queue is empty, because others may arrive as fast as these are taken.
                    for _ in range(len(series.waiting)):
                        histogram.record(series.waiting.popleft(), series.attributes)

    def push(self, families: RecordedFamilies, read_now: list[DefinedSample]) -> None:
        """Export everything. If that fails, the exporter logs why, and the next push has the totals again.

        Increments, if OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE asks for them, are then lost.
        """
        self.take_observations(families)
        observed: dict[str, list[Observation]] = {}

        def observe(definition: Definition, value: float, labels: Mapping[str, str | int]) -> None:
            if not math.isfinite(value):
                return  # the SDK accepts none of these, and would warn at each push
            self._make_observable(definition)
            observed.setdefault(definition.name, []).append(Observation(value, dict(labels)))

        for family in families:
            for series in list(family.series.values()):
                if isinstance(series, Level):
                    observe(family.definition, series.value, series.attributes)
        for definition, sample in read_now:
            observe(definition, sample.value, attributes(sample.labels))
        self._observed = observed
        self._reader.collect()

    def close(self) -> None:
        self._provider.shutdown()

    def stop_retrying(self) -> None:
        self._exporter.shutdown()

    def _histogram(self, definition: Definition) -> Histogram:
        name = definition.name
        if name not in self._histograms:
            self._histograms[name] = self._meter.create_histogram(
                definition.otlp_name or name,
                definition.otlp_unit or _unit(name),
                definition.help,
                explicit_bucket_boundaries_advisory=[float(bound) for bound in definition.buckets],
            )
        return self._histograms[name]

    def _make_observable(self, definition: Definition) -> None:
        name = definition.name
        if name in self._observable:
            return
        self._observable.add(name)
        if definition.kind is Kind.COUNTER:
            create: Callable[..., object] = self._meter.create_observable_counter
        elif definition.merge is Merge.SUM_OF_LIVING:
            create = self._meter.create_observable_up_down_counter
        else:
            create = self._meter.create_observable_gauge

        def observed(_options: CallbackOptions) -> list[Observation]:
            return self._observed.get(name, [])

        create(
            definition.otlp_name or name,
            callbacks=[observed],
            unit=definition.otlp_unit or _unit(name),
            description=definition.help,
        )


def _unit(name: str) -> str:
    return "s" if name.removesuffix("_total").endswith("_seconds") else ""


def detected_resource(attributes: Mapping[str, str]) -> Resource:
    """These attributes and, where they do not contradict, those that the environment asks for."""
    own = Resource(dict(attributes))
    try:
        return Resource.create().merge(own)
    except RuntimeError:
        # A process that ends at once gets here late: detectors run in threads, and no more threads start.
        return OTELResourceDetector().detect().merge(own)


class Order(Enum):
    TAKE_OBSERVATIONS = "take observations"
    PUSH = "push"


PushOrder = Order | threading.Event | RecordedFamilies
"""An event: push, and set it. Families: push these, and end."""


class Pusher:
    """Pushes repeatedly until it is stopped; `families` and `scrape` return what to push."""

    def __init__(
        self,
        settings: PushSettings,
        constant_labels: Mapping[str, str],
        max_label_sets: int,
        families: Callable[[], RecordedFamilies],
        scrape: Callable[[], list[DefinedSample]],
    ) -> None:
        self._settings = settings
        self._resource = resource_attributes(constant_labels)
        self._max_label_sets = max_label_sets
        self._families = families
        self._scrape = scrape
        # Can be put into at any moment, unlike queues and events that are made of locks.
        self._orders: SimpleQueue[PushOrder] = SimpleQueue()
        self._sdk: Sdk | None = None
        self._thread = threading.Thread(target=self._run, name="metrics-push", daemon=True)
        self._thread.start()

    def take_observations_soon(self) -> None:
        self._orders.put(Order.TAKE_OBSERVATIONS)

    def push_now(self, seconds: float) -> bool:
        """Whether a push that began after this call ended within this many seconds."""
        done = threading.Event()
        self._orders.put(done)
        return done.wait(seconds)

    def stop(self, families: RecordedFamilies, seconds: float) -> bool:
        """Push once more and end; returns whether that took at most this many seconds."""
        self._families = lambda: families
        self._orders.put(families)
        self._thread.join(seconds)
        if self._thread.is_alive() and self._sdk is not None:
            self._sdk.stop_retrying()
        return not self._thread.is_alive()

    def _run(self) -> None:
        order: PushOrder = Order.TAKE_OBSERVATIONS
        next_push = time.monotonic() + self._settings.interval
        while not isinstance(order, list):
            try:
                order = self._orders.get(timeout=max(0.0, next_push - time.monotonic()))
            except Empty:
                order = Order.PUSH
            try:
                self._carry_out(order)
            except Exception:  # whatever the SDK raises, the next push may work
                logger.exception("Metrics could not be pushed")
            if order is not Order.TAKE_OBSERVATIONS:
                next_push = time.monotonic() + self._settings.interval
            if isinstance(order, threading.Event):
                order.set()
        if self._sdk is not None:
            self._sdk.close()

    def _carry_out(self, order: PushOrder) -> None:
        if self._sdk is None:
            # Made in this thread, so that no recording waits for it.
            self._sdk = Sdk(self._settings.endpoint, self._resource, self._max_label_sets)
        if isinstance(order, list):
            # Without the database's gauges: other processes push them, too, and at exit no thread can start.
            self._sdk.push(order, runtime_samples())
        elif order is Order.TAKE_OBSERVATIONS:
            self._sdk.take_observations(self._families())
        else:
            scraped = self._scrape()
            self._sdk.push(self._families(), [*scraped, *runtime_samples()])


def resource_attributes(constant_labels: Mapping[str, str]) -> dict[str, str]:
    """The constant labels by the names of the semantic conventions.

    Each process is a separate instance there: two with one id would overwrite each other's values.
    Source: https://opentelemetry.io/docs/specs/semconv/resource/service/
    """
    of_this_process = uuid.uuid4().hex
    instance = constant_labels.get("instance", "")
    found = {
        **{name: value for name, value in constant_labels.items() if name not in IN_RESOURCE},
        "service.name": constant_labels.get("service", ""),
        "service.version": constant_labels.get("version", ""),
        "service.instance.id": f"{instance}.{of_this_process}" if instance else of_this_process,
    }
    return {name: value for name, value in found.items() if value}
