"""Exemplars of the request histogram: for each bucket, the newest request with a sampled trace.

Each slot has a further file of fixed size with a record per default bucket, so that exemplars work in many
processes and are bounded. A record names the series it belongs to. A process that reads a record while it is
being written notices that by its checksum, and leaves it out.
"""

import mmap
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from struct import Struct
from zlib import crc32

from prometheus_client.utils import floatToGoString

from metrics_app.adapters.prometheus.folder import RECORD_MAGIC, is_own, mark_own
from metrics_app.adapters.prometheus.snapshot import Series
from metrics_app.adapters.prometheus.values import reserve
from metrics_app.catalogue import CATALOGUE, HTTP_REQUEST_DURATION, REQUEST_BUCKETS

RECORDS = len(REQUEST_BUCKETS) + 1
CHECKSUM = Struct("=I")
RECORD_SIZE = 512
MAX_LABELS_SIZE = RECORD_SIZE - CHECKSUM.size - 60
# The length of the label values, the duration, when that was by the host's clock that nobody sets and
# by the wall clock, the trace and the label values.
BODY = Struct(f"=H2xddd32s{MAX_LABELS_SIZE}s")
SEPARATOR = "\0"
BEGIN = len(RECORD_MAGIC)
FILE_SIZE = BEGIN + RECORDS * RECORD_SIZE


class ExemplarRecord:
    """The exemplars of this process's slot; callers that store one hold the lock of the files."""

    def __init__(self, directory: Path, number: int) -> None:
        path = directory / f"slot-{number}.exemplars"
        reserve(path, FILE_SIZE)
        mark_own(path, RECORD_MAGIC, 0)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), FILE_SIZE)

    def store(self, method: str, route: str, code: int, seconds: float, trace_id: str) -> None:
        labels = SEPARATOR.join((method, route, str(int(code)))).encode(errors="replace")
        if len(labels) > MAX_LABELS_SIZE:
            return
        now = time.monotonic(), time.time()
        body = BODY.pack(len(labels), seconds, *now, trace_id.encode(), labels)
        begin = BEGIN + bisect_left(REQUEST_BUCKETS, seconds) * RECORD_SIZE
        self._map[begin : begin + RECORD_SIZE] = CHECKSUM.pack(crc32(body)) + body


def stored_exemplars(directory: Path) -> Mapping[Series, str]:
    """For each bucket with an exemplar, the newest one, as OpenMetrics writes it."""
    newest: dict[Series, tuple[float, str]] = {}
    for path in directory.glob("slot-*.exemplars"):
        try:
            content = path.read_bytes() if is_own(path) else b""
        except OSError:
            continue  # removed since it was listed
        for number in range(RECORDS):
            found = _exemplar(content[BEGIN + number * RECORD_SIZE :][:RECORD_SIZE])
            if found is not None:
                series, at, text = found
                newest[series] = max(newest.get(series, (at, text)), (at, text))
    return {series: text for series, (_, text) in newest.items()}


def _exemplar(record: bytes) -> tuple[Series, float, str] | None:
    """The series, when it was, and the text; None if the record is empty, or is being written."""
    body = record[CHECKSUM.size :]
    if len(record) != RECORD_SIZE or CHECKSUM.unpack_from(record)[0] != crc32(body) or not any(body):
        return None
    length, seconds, at, wall, trace_id, labels = BODY.unpack(body)
    values = labels[:length].decode().split(SEPARATOR)
    if len(values) != 3:  # noqa: PLR2004 - method, route and code
        return None
    method, route, code = values
    bounds = (*CATALOGUE[HTTP_REQUEST_DURATION].find_buckets(values), float("inf"))
    bound = bounds[bisect_left(bounds, seconds)]
    series = (
        f"{HTTP_REQUEST_DURATION}_bucket",
        (("code", code), ("method", method), ("route", route), ("le", floatToGoString(bound))),
    )
    return series, at, f' # {{trace_id="{trace_id.decode()}"}} {floatToGoString(seconds)} {wall}'
