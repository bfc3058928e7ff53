"""Exemplars of metrics of applications and libraries: the newest of each series, if there is room.

Each slot with exemplars has a further file of fixed size. A checksum of its name and labels is the place of a
series there; if two share a place, the newer exemplar stays. A process that reads a record while it is being
written notices that by its checksum, and leaves it out.
"""

import json
import mmap
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

from prometheus_client.utils import floatToGoString

from metrics_app.adapters.prometheus.folder import RECORD_MAGIC, is_own, mark_own
from metrics_app.adapters.prometheus.snapshot import LabelSet, Series
from metrics_app.adapters.prometheus.values import reserve
from metrics_app.adapters.prometheus.writer import Escaped

RECORDS = 128
RECORD_SIZE = 1024
HEAD = Struct("=IH")
"""The checksum of what follows, and its length."""
MAX_SIZE = RECORD_SIZE - HEAD.size
BEGIN = len(RECORD_MAGIC)
FILE_SIZE = BEGIN + RECORDS * RECORD_SIZE


class Exemplar(NamedTuple):
    metric: str
    """The name of the family, by which it is found."""
    series: Series
    labels: Mapping[str, str]
    value: float
    wall: float
    """Unix time."""


def find_series(sample: str, labels: Mapping[str, str]) -> Series:
    """The series as in the collector: labels sorted by name, then the bound of a bucket."""
    bound: LabelSet = (("le", labels["le"]),) if "le" in labels else ()
    return sample, (*sorted((name, value) for name, value in labels.items() if name != "le"), *bound)


class SeriesExemplars:
    """The exemplars of this process's slot; callers that store one hold the lock of the files.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, directory: Path, number: int) -> None:
        path = directory / f"slot-{number}.series-exemplars"
        reserve(path, FILE_SIZE)
        mark_own(path, RECORD_MAGIC, 0)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), FILE_SIZE)

    def store(self, exemplar: Exemplar) -> None:
        body = json.dumps([*exemplar, time.monotonic()]).encode()
        if len(body) > MAX_SIZE:
            return
        place = crc32(json.dumps(exemplar.series).encode()) % RECORDS
        begin = BEGIN + place * RECORD_SIZE
        record = HEAD.pack(crc32(body), len(body)) + body
        self._map[begin : begin + len(record)] = record


def stored_series_exemplars(directory: Path) -> Mapping[str, Mapping[Series, str]]:
    """For each metric, the newest exemplar of each series, as OpenMetrics writes it."""
    newest: dict[tuple[str, Series], tuple[float, str]] = {}
    for path in directory.glob("slot-*.series-exemplars"):
        try:
            content = path.read_bytes() if is_own(path) else b""
        except OSError:
            continue  # removed since it was listed
        for place in range(RECORDS):
            found = _read(content[BEGIN + place * RECORD_SIZE :][:RECORD_SIZE])
            if found is not None:
                exemplar, at = found
                key, shown = (exemplar.metric, exemplar.series), (at, _write(exemplar))
                newest[key] = max(newest.get(key, shown), shown)
    by_metric: dict[str, dict[Series, str]] = defaultdict(dict)
    for (metric, series), (_, text) in newest.items():
        by_metric[metric][series] = text
    return by_metric


def _read(record: bytes) -> tuple[Exemplar, float] | None:
    """The exemplar and when it was; None if the record is empty, or is being written."""
    try:
        checksum, length = HEAD.unpack_from(record)
    except error:
        return None
    body = record[HEAD.size : HEAD.size + length]
    if not length or crc32(body) != checksum:
        return None
    metric, (sample, pairs), labels, value, wall, at = json.loads(body)
    series = sample, tuple([(name, text) for name, text in pairs])
    return Exemplar(metric, series, labels, value, wall), at


def _write(exemplar: Exemplar) -> str:
    escaped = Escaped()
    labels = ",".join([f'{name}="{escaped[text]}"' for name, text in sorted(exemplar.labels.items())])
    return f" # {{{labels}}} {floatToGoString(exemplar.value)} {exemplar.wall}"
