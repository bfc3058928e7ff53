"""Latencies in a log-linear histogram: any percentile of any window, in memory that stays small.

As HdrHistogram (https://hdrhistogram.github.io/HdrHistogram/) with two significant digits, but sparse: a
second of a load fills a few dozen buckets, and they travel between processes as JSON.
"""

import math
from collections.abc import Iterator, Mapping

# Each power of two has this many buckets, so that the middle of a bucket is at most 1/256 (0.4 %) away from
# every value in it. Below it, values are exact to the microsecond.
_BUCKETS = 128
_MICROSECONDS = 1_000_000


def find_bucket(seconds: float) -> int:
    """The number of the bucket that holds this latency."""
    value = max(0, round(seconds * _MICROSECONDS))
    shift = max(0, value.bit_length() - _BUCKETS.bit_length())
    return shift * _BUCKETS + (value >> shift)


def read_bucket(bucket: int) -> float:
    """The latency in the middle of the bucket, in seconds."""
    shift = max(0, bucket // _BUCKETS - 1)
    low = (bucket - shift * _BUCKETS) << shift
    return (low + ((1 << shift) - 1) / 2) / _MICROSECONDS


class Histogram:
    """How many latencies fell into each bucket; exact count and maximum, other figures within 0.4 %."""

    __slots__ = ("_counts", "count", "max")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.max = 0.0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The buckets that are not empty, with their counts."""
        return iter(self._counts.items())

    def add(self, seconds: float, count: int = 1) -> None:
        bucket = find_bucket(seconds)
        self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += count
        self.max = max(self.max, seconds)

    def merge(self, other: "Histogram") -> None:
        for bucket, count in other:
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += other.count
        self.max = max(self.max, other.max)

    def find_percentile(self, percent: float) -> float | None:
        """The latency in seconds that this share of all does not exceed; None without any.

        `percent` is above 0, and at most 100.
        """
        if not self.count:
            return None
        rank = math.ceil(self.count * percent / 100)
        for bucket, count in sorted(self._counts.items()):
            rank -= count
            if rank <= 0:
                return min(read_bucket(bucket), self.max)
        return self.max

    def to_json(self) -> dict[str, object]:
        return {"counts": list(self._counts.items()), "max": self.max}

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> "Histogram":
        found = cls()
        found._counts = dict(kept["counts"])  # type: ignore[call-overload]
        found.count = sum(found._counts.values())
        found.max = float(kept["max"])  # type: ignore[arg-type]
        return found
