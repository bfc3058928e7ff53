"""Answers a scrape with the text of everything that is exposed."""

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter

from prometheus_client.exposition import choose_encoder

from metrics_app.adapters.prometheus.clashes import Clashes
from metrics_app.adapters.prometheus.creation import Creations
from metrics_app.adapters.prometheus.protobuf import CONTENT_TYPE, MEDIA_TYPE, PARAMETERS, ProtobufWriter
from metrics_app.adapters.prometheus.snapshot import Encode, Family, Snapshot, Source
from metrics_app.adapters.prometheus.writer import OPENMETRICS, Writer
from metrics_app.adapters.scrape_gauges import DefinedSample, ScrapeGaugeSources

FORMATS = {OPENMETRICS, "text/plain", "text/*", "*/*"}


class ScrapeGaugeCollector:
    def __init__(self, sources: ScrapeGaugeSources) -> None:
        self._sources = sources

    def snapshots(self) -> Iterable[Snapshot]:
        found: dict[str, list[DefinedSample]] = {}
        for defined in self._sources.read():
            found.setdefault(defined[1].name, []).append(defined)
        return [_gauge(name, samples) for name, samples in found.items()]


def _gauge(name: str, samples: Sequence[DefinedSample]) -> Snapshot:
    series = [(name, tuple(sample.labels.items())) for _, sample in samples]
    family = Family(name, samples[0][0].help, "gauge", series)
    return Snapshot(family, [float(sample.value) for _, sample in samples])


class Exposition:
    """The handler that answers a scrape; `finished` is called with the seconds it took and its series.

    With `protobuf` it also writes that format, which only native histograms need.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        writer: Writer,
        started: Callable[[], None],
        finished: Callable[[float, int], None],
        protobuf: ProtobufWriter | None = None,
    ) -> None:
        self._sources = sources
        self._writer = writer
        self._started = started
        self._finished = finished
        self._protobuf = protobuf
        self._clashes = Clashes()
        self._creations = Creations()

    def __call__(self, accept: str = "", /) -> bytes:
        start = perf_counter()
        self._started()
        found = [snapshot for source in self._sources for snapshot in source.snapshots()]
        snapshots = self._clashes.resolve(_without_replaced(found))
        encode, content_type = _encoder(accept)
        is_protobuf = self._protobuf is not None and _prefers_protobuf(accept)
        openmetrics = content_type.startswith(OPENMETRICS) and not is_protobuf
        snapshots = self._creations.join(snapshots, openmetrics=openmetrics)
        if self._protobuf is not None and is_protobuf:
            text = self._protobuf.written(snapshots)
        else:
            text = self._writer.text(snapshots, encode, content_type)
        self._finished(perf_counter() - start, sum(len(values) for _, values in snapshots))
        return text

    def content_type(self, accept: str = "", /) -> str:
        if self._protobuf is not None and _prefers_protobuf(accept):
            return CONTENT_TYPE
        return _encoder(accept)[1]


def _without_replaced(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """The families without the zeros in files for gauges that call a function."""
    found = list(snapshots)
    replaced = {snapshot.family.name for snapshot in found if snapshot.family.collected is not None}
    return [
        snapshot
        for snapshot in found
        if snapshot.family.collected is not None
        or not snapshot.family.is_library
        or snapshot.family.name not in replaced
    ]


def _prefers_protobuf(accept: str) -> bool:
    for offer in sorted(accept.lower().split(","), key=_quality, reverse=True):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type in FORMATS:
            return False
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type == MEDIA_TYPE and _quality(offer) > 0 and given.items() >= PARAMETERS.items():
            return True
    return False


def _encoder(accept: str) -> tuple[Encode, str]:
    """The encoder for the format that this `Accept` header prefers, and its content type."""
    # Sorting keeps the order of equal preferences.
    for offer in sorted(accept.lower().split(","), key=_quality, reverse=True):
        if offer.partition(";")[0].strip() in FORMATS and _quality(offer) > 0 and _has_known_version(offer):
            try:
                return choose_encoder(offer)
            except TypeError:
                continue  # not a number, as in 'text/plain; version=new', cannot be compared
    return choose_encoder("")


def _has_known_version(offer: str) -> bool:
    """Whether this version can be written: prometheus_client would promise any version."""
    media_type, *parameters = (part.strip() for part in offer.split(";"))
    given = dict(parameter.partition("=")[::2] for parameter in parameters)
    return media_type != OPENMETRICS or given.get("version", "1.0.0") in {"0.0.1", "1.0.0"}


def _quality(offer: str) -> float:
    for parameter in offer.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0
