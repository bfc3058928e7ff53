"""What was learnt of a file at an earlier scrape, so that the next one reads its values alone.

A file only ever grows at its end: keys stay where they are, and what is new stands behind them. Who
starts again removes the file first. As long as a file is kept open its inode is given to no other, so a
file that was replaced is told by its inode. It is read and not mapped: a map of a file that somebody
cuts short kills the process that looks at it (SIGBUS).
"""

import mmap
import os
import re
import weakref
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from math import copysign
from operator import itemgetter, sub
from struct import Struct
from typing import NamedTuple

from prometheus_client import Metric

from metrics_app.adapters.prometheus.descriptors import KeptDescriptor, identify
from metrics_app.adapters.prometheus.files import (
    DOUBLE,
    HEADER,
    Key,
    ParsedKeys,
    UnreadableFileError,
    scan,
    used_bytes,
)
from metrics_app.adapters.prometheus.folder import MAGIC_WITH_BASELINES

Values = Sequence[float]
"""The numbers of one file, then 0.0, which index -1 finds: the value of a series that it has not.

As an array, which takes a quarter of the memory of as many objects.
"""


class Origin(NamedTuple):
    """What the name of a file says: `mode` is how gauges are merged, empty for other types.

    `is_library` tells the metrics that libraries made with prometheus_client from the adapter's.
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
    """The series of one metric in one file, and where in the file's `Values` theirs stand.

    It never changes: as long as a file has the same group, it has the same series of this metric.
    """

    __slots__ = ("indices", "keys", "origin")

    def __init__(self, origin: Origin, keys: tuple[Key, ...], indices: tuple[int, ...]) -> None:
        self.origin = origin
        self.keys = keys
        self.indices = indices


class Layout:
    """Which series stand where in a file, as far as it was read."""

    def __init__(self, origin: Origin, *, has_baselines: bool = False) -> None:
        self.groups: dict[str, Group] = {}
        """The series of each metric that are exposed."""
        self.used = HEADER
        self.has_baselines = has_baselines
        self._origin = origin
        self._removed = Removed(origin) if has_baselines else None
        self._stored: dict[str, Group] = {}
        # The timestamp of a gauge tells which process set it last; others have none, or baselines.
        self._numbers_per_entry = 2 if origin.type == "gauge" or has_baselines else 1
        self._values_at: list[int] = []
        self._unpack: Callable[[bytes], tuple[float, ...]] | None = None
        self._was_read = False
        self._first_key = self._last_key = b""

    def __len__(self) -> int:
        return len(self._values_at)

    def is_of(self, data: bytes) -> bool:
        """Whether the file still begins and ends, as far as it was read, with the same keys."""
        if not self._values_at:
            return True
        begin = HEADER + 4
        last = self._values_at[-1] - len(self._last_key)
        return (
            data.startswith(self._first_key, begin)
            # Eight bytes of padding at most stand between a key and its value.
            and data.find(self._last_key, last - DOUBLE, self._values_at[-1]) >= 0
        )

    def extend(self, data: bytes, used: int, keys: ParsedKeys) -> None:
        """Learn what was added since.

        Raises:
            UnreadableFileError: 'truncated' or 'foreign'; nothing was learnt.
        """
        raw_keys, values_at = scan(data, self.used, used)
        added = list(map(keys.__getitem__, raw_keys))
        places = _places_by_metric(list(map(itemgetter(0), added)))
        first = len(self._values_at)
        groups = {}
        for metric, of_metric in places.items():
            known = self._stored.get(metric) or _new_group(self._origin, added[of_metric[0]])
            indices = [(first + place) * self._numbers_per_entry for place in of_metric]
            # With one more place, because itemgetter gives no tuple for a single one.
            new_keys = itemgetter(*of_metric, 0)(added)[:-1]
            groups[metric] = Group(self._origin, known.keys + new_keys, (*known.indices, *indices))
        self._stored.update(groups)
        self.groups = dict(self._stored)
        if self._removed is not None:
            self._removed.forget()
        self._values_at += values_at
        self.used = used
        self._first_key = self._first_key or raw_keys[0]
        self._last_key = raw_keys[-1]
        self._unpack, self._was_read = None, False

    def values(self, data: bytes) -> Values:
        numbers = self._numbers(data)
        if self._removed is None:
            return array("d", chain(numbers, (0.0,)))
        if self._removed.look(self._stored, numbers):
            self.groups = self._removed.visible(self._stored)
        return array("d", chain(self._removed.since(numbers), (0.0,)))

    def _numbers(self, data: bytes) -> Sequence[float]:
        # Unpacking is prepared when a file is read again as it was: one that grows each time needs it not.
        if self._unpack is None and self._was_read:
            self._unpack = self._unpacker()
        self._was_read = True
        if self._unpack is not None:
            return self._unpack(data)
        with memoryview(data)[: self.used].cast("d") as numbers:
            places = [at // DOUBLE for at in self._values_at]
            if self._numbers_per_entry == 1:
                return [numbers[place] for place in places]
            return [number for place in places for number in numbers[place : place + 2]]

    def _unpacker(self) -> Callable[[bytes], tuple[float, ...]]:
        # One call for all numbers of a file, over the keys between them: 'x' leaves a byte out.
        size = self._numbers_per_entry * DOUBLE
        ends = [0, *[at + size for at in self._values_at]]
        gaps = list(map(sub, self._values_at, ends))
        formats = {gap: f"{gap}x{'d' * self._numbers_per_entry}" for gap in set(gaps)}
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
        if not self._is_timed:  # what was never set is left out there anyway
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

    def since(self, numbers: Sequence[float]) -> Sequence[float]:
        """The numbers, each value counted from its baseline."""
        if self._is_timed:
            return numbers
        counted = list(numbers)
        counted[::2] = map(sub, numbers[::2], numbers[1::2])
        return counted

    def _shown(self, group: Group) -> Group:
        hidden = self._hidden or set()
        if hidden.isdisjoint(group.indices):
            return group
        kept = [place for place, index in enumerate(group.indices) if index not in hidden]
        keys, indices = [group.keys[place] for place in kept], [group.indices[place] for place in kept]
        return Group(group.origin, tuple(keys), tuple(indices))


def _of_whole_label_sets(group: Group, unchanged: AbstractSet[int]) -> set[int]:
    """The indices of label sets of which nothing has changed: all buckets of one, or none."""
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


def _places_by_metric(metrics: Sequence[str]) -> Mapping[str, Sequence[int]]:
    """Where each metric stands among these."""
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


class KnownFile:
    """A file that is kept open from scrape to scrape.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str, origin: Origin) -> None:
        # Without waiting, for a foreign file may be a pipe that nobody writes to.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        kept = KeptDescriptor(self._descriptor)
        self._close = weakref.finalize(self, kept.close)
        self._identity = kept.identity
        self._origin = origin
        self.layout = Layout(origin)

    def is_still(self, path: str) -> bool:
        try:
            status = os.stat(path)  # noqa: PTH116 - once per file and scrape: a Path costs more than this
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity == identify(self._descriptor)

    def read(self, keys: ParsedKeys) -> Values:
        """The values that the file has now; `layout` then tells whose they are.

        Raises:
            UnreadableFileError: one of FAULTS.
            OSError: it cannot be read.
        """
        # A page more than last time: what was added since mostly comes with it.
        data = os.pread(self._descriptor, self.layout.used + mmap.PAGESIZE, 0)
        used = used_bytes(data)
        if used > len(data):
            # Not what a foreign file claims, which may be more memory than there is.
            if used > os.fstat(self._descriptor).st_size:
                raise UnreadableFileError("truncated")
            data += os.pread(self._descriptor, used - len(data), len(data))
        has_baselines = data[4:HEADER] == MAGIC_WITH_BASELINES
        is_other = has_baselines != self.layout.has_baselines
        if is_other or used < self.layout.used or not self.layout.is_of(data):
            self.layout = Layout(self._origin, has_baselines=has_baselines)
        if used != self.layout.used:
            self.layout.extend(data, used, keys)
        return self.layout.values(data)

    def close(self) -> None:
        self._close()
