"""What an earlier scrape has learnt about a file, so that the next one reads only its values.

A file only ever grows at its end: keys stay where they are, and what is new stands behind them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import copysign
from operator import itemgetter, sub
from struct import Struct
from typing import NamedTuple, TypeVar

from prometheus_client import Metric

from metrics_app.adapters.prometheus.files import (
    DOUBLE,
    HEADER,
    Key,
    ParsedKeys,
    UnreadableFileError,
    scan,
)

Content = bytes | bytearray
Values = Sequence[float]
"""The numbers of one file, then 0.0, which index -1 finds: the value of a series that it has not."""


NOT_THERE = (0.0,)
T = TypeVar("T")


class Origin(NamedTuple):
    """The parts of a file's name: `mode` is how gauges are merged, empty for other types.

    `is_library`: its metrics were made by libraries with prometheus_client, not by the adapter.
    """

    type: str
    mode: str
    process: str
    is_library: bool

    @classmethod
    def of(cls, name: re.Match[str]) -> "Origin":
        process = name["process"]
        return cls(
            name["type"] or "gauge",
            name["mode"] or "",
            process.replace("library-", "slot-"),
            not process.startswith("slot-"),
        )


class Group:
    """The series of one metric in one file, and the places of their values in the file's `Values`.

    It never changes: a file with the same group has the same series of this metric.
    """

    __slots__ = ("indices", "keys", "origin")

    def __init__(self, origin: Origin, keys: tuple[Key, ...], indices: tuple[int, ...]) -> None:
        self.origin = origin
        self.keys = keys
        self.indices = indices


class Layout:
    """The places of the series in a file, as far as it was read."""

    def __init__(self, origin: Origin, *, has_baselines: bool = False) -> None:
        self.groups: dict[str, Group] = {}
        """The series of each metric that are exposed."""
        self.used = HEADER
        self.has_baselines = has_baselines
        self._origin = origin
        self._removed = Removed(origin) if has_baselines else None
        self._stored: dict[str, Group] = {}
        # The timestamp of a gauge shows which process set it last; other types have none, or baselines.
        self._numbers_per_entry = 2 if origin.type == "gauge" or has_baselines else 1
        self._places: list[int] = []
        """How many doubles stand before each value."""
        self._unpack: Callable[[Content], tuple[float, ...]] | None = None
        self._was_read = False
        self._first_key = self._last_key = b""

    def __len__(self) -> int:
        return len(self._places)

    def matches(self, data: Content) -> bool:
        """Whether the part of the file that was read still begins and ends with the same keys."""
        if not self._places:
            return True
        begin, end = HEADER + 4, DOUBLE * self._places[-1]
        last = end - len(self._last_key)
        return (
            data.startswith(self._first_key, begin)
            # At most eight bytes of padding are between a key and its value.
            and data.find(self._last_key, last - DOUBLE, end) >= 0
        )

    def extend(self, data: bytes, used: int, keys: ParsedKeys) -> None:
        """Read the entries that were added since.

        Raises:
            UnreadableFileError: 'truncated' or 'foreign'; nothing was learnt.
        """
        raw_keys, places = scan(data, self.used, used)
        added = list(map(keys.__getitem__, raw_keys))
        size = self._numbers_per_entry
        indices = range(len(self) * size, (len(self) + len(added)) * size, size)
        groups = {}
        for metric, of_metric in _places_by_metric(list(map(itemgetter(0), added))).items():
            known = self._stored.get(metric) or _new_group(self._origin, added[of_metric[0]])
            groups[metric] = Group(
                self._origin,
                known.keys + _chosen(added, of_metric),
                known.indices + _chosen(indices, of_metric),
            )
        self._stored.update(groups)
        self.groups = dict(self._stored)
        if self._removed is not None:
            self._removed.forget()
        self._places += places
        self.used = used
        self._first_key = self._first_key or raw_keys[0]
        self._last_key = raw_keys[-1]
        self._unpack, self._was_read = None, False

    def values(self, data: Content) -> tuple[float, ...]:
        numbers = self._numbers(data)
        if self._removed is not None:
            if self._removed.look(self._stored, numbers):
                self.groups = self._removed.visible(self._stored)
            numbers = self._removed.since(numbers)
        return numbers + NOT_THERE

    def _numbers(self, data: Content) -> tuple[float, ...]:
        # Unpacking is prepared when an unchanged file is read again; a file that grows each time does not
        # need it.
        if self._unpack is None and self._was_read:
            self._unpack = self._unpacker()
        self._was_read = True
        if self._unpack is not None:
            return self._unpack(data)
        with memoryview(data)[: self.used].cast("d") as numbers:
            if self._numbers_per_entry == 1:
                return tuple(map(numbers.__getitem__, self._places))
            return tuple([number for place in self._places for number in numbers[place : place + 2]])

    def _unpacker(self) -> Callable[[Content], tuple[float, ...]]:
        # One call for all numbers of a file, over the keys between them: 'x' leaves a byte out.
        ends = [0, *[place + self._numbers_per_entry for place in self._places]]
        gaps = list(map(sub, self._places, ends))
        formats = {gap: f"{DOUBLE * gap}x{'d' * self._numbers_per_entry}" for gap in set(gaps)}
        return Struct("=" + "".join(map(formats.__getitem__, gaps))).unpack_from


class Removed:
    """Which series of a file were removed and not recorded since; see the module `removal`."""

    def __init__(self, origin: Origin) -> None:
        self._is_timed = origin.mode.endswith("mostrecent")
        self._hidden: set[int] | None = None

    def forget(self) -> None:
        self._hidden = None

    def look(self, groups: Mapping[str, Group], numbers: Sequence[float]) -> bool:
        """Whether others are hidden than at the last look: indices of values, in pairs with baselines."""
        hidden: set[int] = set()
        if not self._is_timed:  # gauges that were never set are left out there anyway
            unchanged = {
                2 * place
                for place, (value, baseline) in enumerate(zip(numbers[::2], numbers[1::2], strict=True))
                if value == baseline and (baseline or copysign(1.0, baseline) < 0)
            }
            for group in groups.values() if unchanged else ():
                hidden |= _of_whole_label_sets(group, unchanged)
        if hidden == self._hidden:
            return False
        self._hidden = hidden
        return True

    def visible(self, groups: Mapping[str, Group]) -> dict[str, Group]:
        return {metric: shown for metric, group in groups.items() if (shown := self._shown(group)).keys}

    def since(self, numbers: tuple[float, ...]) -> tuple[float, ...]:
        """The numbers, each value counted from its baseline."""
        if self._is_timed:
            return numbers
        counted = list(numbers)
        counted[::2] = map(sub, numbers[::2], numbers[1::2])
        return tuple(counted)

    def _shown(self, group: Group) -> Group:
        hidden = self._hidden or set()
        if hidden.isdisjoint(group.indices):
            return group
        kept = [place for place, index in enumerate(group.indices) if index not in hidden]
        keys, indices = [group.keys[place] for place in kept], [group.indices[place] for place in kept]
        return Group(group.origin, tuple(keys), tuple(indices))


def _of_whole_label_sets(group: Group, unchanged: AbstractSet[int]) -> set[int]:
    """The indices of label sets in which nothing has changed: all buckets of a set, or none."""
    changed = {
        _without_bound(key)
        for key, index in zip(group.keys, group.indices, strict=True)
        if index not in unchanged
    }
    return {
        index
        for key, index in zip(group.keys, group.indices, strict=True)
        if _without_bound(key) not in changed
    }


def _without_bound(key: Key) -> tuple[tuple[str, str], ...]:
    return tuple([label for label in key.labels if label[0] != "le"])


def _chosen(objects: Sequence[T], places: Sequence[int]) -> tuple[T, ...]:
    if len(places) == len(objects):
        return tuple(objects)
    # With one more place, because itemgetter gives no tuple for a single one.
    return tuple(itemgetter(*places, 0)(objects)[:-1])


def _places_by_metric(metrics: Sequence[str]) -> Mapping[str, Sequence[int]]:
    """The places of each metric among these."""
    if metrics.count(metrics[0]) == len(metrics):
        return {metrics[0]: range(len(metrics))}  # as in most files of histograms
    places: dict[str, list[int]] = defaultdict(list)
    for place, metric in enumerate(metrics):
        places[metric].append(place)
    return places


def _new_group(origin: Origin, key: Key) -> Group:
    try:
        Metric(key.metric, key.help, origin.type)
    except ValueError as error:
        raise UnreadableFileError("foreign") from error
    return Group(origin, (), ())
