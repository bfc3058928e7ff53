"""The exposition as delimited messages `io.prometheus.client.MetricFamily`, which native histograms need.

Written by hand, because a library of protocol buffers would be a dependency for one message type.
Source: https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from struct import Struct

from metrics_app.adapters.names import escape_label_name, escape_metric_name
from metrics_app.adapters.prometheus.native import (
    SCHEMA,
    ZERO_THRESHOLD,
    NativeHistogram,
    NativeHistograms,
)
from metrics_app.adapters.prometheus.snapshot import LabelSet, Snapshot, with_constant_labels

MEDIA_TYPE = "application/vnd.google.protobuf"
PARAMETERS = {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"}
CONTENT_TYPE = f"{MEDIA_TYPE}; proto=io.prometheus.client.MetricFamily; encoding=delimited"

COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM = range(5)
SIMPLE = {"counter": COUNTER, "gauge": GAUGE, "info": GAUGE, "stateset": GAUGE}
FIELDS = {COUNTER: 3, GAUGE: 2, UNTYPED: 5}
"""In which field of a Metric a single value stands."""

_double = Struct("<d").pack


class ProtobufWriter:
    """Writes families with the constant labels on every sample, and their native histograms."""

    def __init__(self, constant_labels: Mapping[str, str], collect: Callable[[], NativeHistograms]) -> None:
        self._constant_labels = tuple(constant_labels.items())
        self._collect = collect

    def written(self, snapshots: Iterable[Snapshot]) -> bytes:
        return encode(snapshots, self._constant_labels, self._collect())


Samples = list[tuple[str, dict[str, str], float]]


def encode(snapshots: Iterable[Snapshot], constant_labels: LabelSet, native: NativeHistograms) -> bytes:
    families = chain.from_iterable(
        _families(snapshot, constant_labels, native) for snapshot in snapshots if snapshot.values
    )
    return b"".join([_varint(len(family)) + family for family in families])


def _families(snapshot: Snapshot, constant: LabelSet, native: NativeHistograms) -> Iterator[bytes]:
    family, values = snapshot
    samples = [
        (name, dict(with_constant_labels(labels, ())), value)
        for (name, labels), value in zip(family.series, values, strict=True)
        if not (family.type not in {"gauge", "unknown"} and name.endswith("_created"))
    ]
    if family.type == "histogram":
        metrics = [
            _label_pairs(labels, constant)
            + _message(7, _histogram(of_one, native.get((family.name, tuple(sorted(labels.items()))))))
            for labels, of_one in _by_labels(samples, "le")
        ]
        yield _family(family.name, family.help, HISTOGRAM, metrics)
    elif family.type == "summary":
        metrics = [
            _label_pairs(labels, constant) + _message(4, _summary(of_one, family.name))
            for labels, of_one in _by_labels(samples, "quantile")
        ]
        yield _family(family.name, family.help, SUMMARY, metrics)
    else:
        kind = SIMPLE.get(family.type, UNTYPED)
        for name in dict.fromkeys(name for name, _, _ in samples):
            metrics = [
                _label_pairs(labels, constant) + _message(FIELDS[kind], _number(1, value))
                for other, labels, value in samples
                if other == name
            ]
            yield _family(name, family.help, kind, metrics)


def _by_labels(samples: Samples, apart: str) -> Iterable[tuple[dict[str, str], Samples]]:
    """The samples of each label set, without the label `apart`."""
    found: dict[tuple[tuple[str, str], ...], Samples] = {}
    for sample in samples:
        labels = tuple([label for label in sample[1].items() if label[0] != apart])
        found.setdefault(labels, []).append(sample)
    return [(dict(labels), of_one) for labels, of_one in found.items()]


def _histogram(samples: Samples, native: NativeHistogram | None) -> bytes:
    count, parts = 0.0, []
    for name, labels, value in samples:
        if "le" in labels:
            parts.append(_message(3, _unsigned(1, int(value)) + _number(2, float(labels["le"]))))
        elif name.endswith("_sum"):
            parts.append(_number(2, value))
        else:
            count = value
    if native is None:
        return _unsigned(1, int(count)) + b"".join(parts)
    # The buckets and their total come from one reading, because Prometheus refuses different ones.
    return _unsigned(1, native.count) + b"".join(parts) + _native(native)


def _native(histogram: NativeHistogram) -> bytes:
    spans: list[list[int]] = []
    deltas = []
    next_index = last = 0
    counts = sorted(histogram.buckets.items())
    for place, (index, count) in enumerate(counts):
        if place and index == next_index:
            spans[-1][1] += 1
        else:
            spans.append([index - next_index, 1])
        deltas.append(_varint(_zigzag(count - last)))
        next_index, last = index + 1, count
    return (
        _unsigned(5, _zigzag(SCHEMA))
        + _number(6, ZERO_THRESHOLD)
        + _unsigned(7, histogram.zero_count)
        + b"".join(_message(12, _unsigned(1, _zigzag(gap)) + _unsigned(2, length)) for gap, length in spans)
        + _message(13, b"".join(deltas))
    )


def _summary(samples: Samples, name: str) -> bytes:
    parts = []
    for sample, labels, value in samples:
        if sample == name and "quantile" in labels:
            parts.append(_message(3, _number(1, float(labels["quantile"])) + _number(2, value)))
        elif sample.endswith("_sum"):
            parts.append(_number(2, value))
        else:
            parts.append(_unsigned(1, int(value)))
    return b"".join(parts)


def _family(name: str, help_text: str, kind: int, metrics: Iterable[bytes]) -> bytes:
    # This format gives scrapers no choice, so it uses names that every scraper supports.
    begin = _text(1, escape_metric_name(name)) + _text(2, help_text) + _unsigned(3, kind)
    return begin + b"".join([_message(4, metric) for metric in metrics])


def _label_pairs(labels: dict[str, str], constant: LabelSet) -> bytes:
    pairs = dict(with_constant_labels(labels.items(), constant))
    return b"".join(
        [_message(1, _text(1, escape_label_name(name)) + _text(2, value)) for name, value in pairs.items()]
    )


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode(errors="replace"))


def _number(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + _double(value)


def _unsigned(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else -value * 2 - 1


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
