"""Merges the values of one metric from all files by the stock collector's rules, in its order.

Everything that the rules need is known with the series, so they are applied once, to make a plan that is
carried out at each scrape. The order matters, because sums of floats depend on it.
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, repeat
from operator import add, itemgetter
from typing import NamedTuple

from prometheus_client.utils import floatToGoString

from metrics_app.adapters.prometheus.files import Key
from metrics_app.adapters.prometheus.layout import Group, Origin, Values
from metrics_app.adapters.prometheus.snapshot import Family, LabelSet, Series
from metrics_app.adapters.prometheus.sparse import NOT_HERE, Merge, is_sparse, sparse_sums


class Block(NamedTuple):
    """The places of one label set's samples in a histogram: its own, then its buckets.

    `count_at` is for a count in the files, which keeps its place among the set's own samples and gets the
    value of the buckets.
    """

    first: int
    first_bucket: int
    end: int
    count_at: int


class Numbered:
    """The series of all files, each once with a number, in the order of their first occurrence.

    `of_files` has, for each file, the number of the series of each of its entries.
    """

    def __init__(self, groups: Sequence[Group], pid: Callable[[Origin], LabelSet | None]) -> None:
        self.series: list[Series] = []
        self.of_files: list[list[int]] = []
        self._pid = pid
        self._numbers: dict[Series, int] = {}
        # Files share key objects: each is examined once, and then recognised by its identity.
        self._of_keys: dict[int, int] = {}
        for group in groups:
            self.of_files.append(self._of_group(group))

    def _of_group(self, group: Group) -> list[int]:
        pid = self._pid(group.origin)
        if pid is not None:
            return [self._number(key, pid) for key in group.keys]
        numbers = list(map(self._of_keys.get, map(id, group.keys), repeat(NOT_HERE)))
        if NOT_HERE in numbers:
            for key in group.keys:
                self._of_keys.setdefault(id(key), self._number(key, ()))
            numbers = [self._of_keys[id(key)] for key in group.keys]
        return numbers

    def _number(self, key: Key, pid: LabelSet) -> int:
        found = key.sample, key.labels + pid
        number = self._numbers.setdefault(found, len(self.series))
        if number == len(self.series):
            self.series.append(found)
        return number


class MergedMetric:
    """One metric of all files: `groups` are its series in each file that has it, in the files' order.

    `family` has its samples without values; it is replaced when they change.
    """

    def __init__(self, name: str, groups: tuple[Group, ...]) -> None:
        self.groups = groups
        self._name = name
        self._type = groups[0].origin.type
        # The first file decides the type, and the last one of gauges how they are merged.
        self._mode = next((group.origin.mode for group in reversed(groups) if group.origin.mode), "")
        self._expose([])
        self.values = self._planned()
        """The values of the samples, from those of the files."""

    def _planned(self) -> Merge:
        numbered = Numbered(self.groups, self._pid)
        if self._type == "histogram":
            return self._histogram(numbered)
        if self._type == "gauge" and self._mode.endswith("mostrecent"):
            return lambda of_files: self._most_recent(numbered, of_files)
        order = _by_labels(numbered.series)
        self._expose([numbered.series[number] for number in order])
        if self._type != "gauge" or self._mode.endswith("sum"):
            places = {number: place for place, number in enumerate(order)}
            return self._sums(numbered.of_files, places)
        choose = next((by for mode, by in CHOICES.items() if self._mode.endswith(mode)), _last)
        return lambda of_files: self._chosen(numbered, order, choose, of_files)

    def _pid(self, origin: Origin) -> LabelSet | None:
        """The label that keeps the gauges of processes apart; None if nothing does."""
        if origin.type != "gauge" or (self._type == "gauge" and not self._mode.endswith("all")):
            return None
        return (("pid", origin.process),)

    def _sums(self, of_files: Sequence[Sequence[int]], places: dict[int, int]) -> Merge:
        """For each place the sum of the entries that belong there, file by file."""
        size = max(places.values(), default=-1) + 1
        if is_sparse(size, of_files):
            indices = [group.indices for group in self.groups]
            return sparse_sums(
                size, [[places[number] for number in numbers] for numbers in of_files], indices
            )
        getters = []
        place_of_number = [places[number] for number in range(len(places))]
        for file, numbers in enumerate(of_files):
            placed = list(map(place_of_number.__getitem__, numbers))
            steps = _steps(size, placed, self.groups[file].indices)
            # With one more index, because itemgetter returns no tuple for a single one; map() ends before it.
            getters += [(file, itemgetter(*step, NOT_HERE)) for step in steps]
        nothing = [0.0] * size

        def merge(values: Sequence[Values]) -> Sequence[float]:
            sums = nothing
            for first in range(0, len(getters), COLUMNS_AT_ONCE):
                columns = [get(values[file]) for file, get in getters[first : first + COLUMNS_AT_ONCE]]
                sums = add_columns(sums, columns)
            return sums

        return merge

    def _histogram(self, numbered: Numbered) -> Merge:
        """Sums, and the buckets of each label set accumulated, with a count made of them."""
        others: dict[LabelSet, list[int]] = {}
        buckets: dict[LabelSet, dict[float, list[int]]] = {}
        bounds_of = BucketBounds()
        for number, (_, labels) in enumerate(numbered.series):
            bound, without = _bucket_bound(labels, bounds_of)
            if bound is None:
                others.setdefault(labels, []).append(number)
            else:
                buckets.setdefault(without, {}).setdefault(bound, []).append(number)
        places: dict[int, int] = {}
        exposed: list[Series] = []
        blocks: list[Block] = []
        bucket, texts = f"{self._name}_bucket", BucketLabels()
        for labels in {**others, **buckets}:
            first = blocks[-1].end if blocks else 0
            own, bounds = others.get(labels, []), sorted(buckets.get(labels, {}).items())
            named = [numbered.series[number] for number in own]
            count = (f"{self._name}_count", labels)
            count_at = named.index(count) if count in named else NOT_HERE
            block = Block(first, first + len(own), first + len(own) + len(bounds), count_at)
            places.update(zip(own, range(first, block.first_bucket), strict=True))
            for place, (_, numbers) in enumerate(bounds, block.first_bucket):
                places.update(dict.fromkeys(numbers, place))
            exposed += named
            exposed += [(bucket, (*labels, texts[bound])) for bound, _ in bounds]
            exposed += [count] if bounds and count_at == NOT_HERE else []
            blocks.append(block)
        self._expose(exposed)
        sums = self._sums(numbered.of_files, places)
        return lambda values: _accumulated(sums(values), blocks)

    def _chosen(
        self,
        numbered: Numbered,
        order: Sequence[int],
        choose: Callable[[float, float], float],
        values: Sequence[Values],
    ) -> list[float]:
        found: dict[int, float] = {}
        for group, numbers, of_file in zip(self.groups, numbered.of_files, values, strict=True):
            for number, index in zip(numbers, group.indices, strict=True):
                value = of_file[index]
                found[number] = choose(found[number], value) if number in found else value
        return [found[number] for number in order]

    def _most_recent(self, numbered: Numbered, values: Sequence[Values]) -> list[float]:
        # A gauge that was never set has no sample, so the values decide about the series and their order.
        found: dict[int, float] = {}
        set_at: dict[int, float] = {}
        for group, numbers, of_file in zip(self.groups, numbered.of_files, values, strict=True):
            if group.origin.type != "gauge":
                continue  # it was never set
            for number, index in zip(numbers, group.indices, strict=True):
                timestamp = of_file[index + 1]
                if set_at.get(number, 0.0) < timestamp:
                    found[number] = of_file[index]
                    set_at[number] = timestamp
        met = list(found)
        order = [met[place] for place in _by_labels([numbered.series[number] for number in met])]
        series = [numbered.series[number] for number in order]
        if series != self.family.series:
            self._expose(series)
        return [found[number] for number in order]

    def _expose(self, series: list[Series]) -> None:
        mixed = any(group.origin.type != self._type for group in self.groups)
        self.family = Family(
            self._name,
            self.groups[0].keys[0].help,
            self._type,
            series,
            is_mixed=mixed,
            is_library=self.groups[0].origin.is_library,
        )


if sys.version_info < (3, 12):
    COLUMNS_AT_ONCE = 16

    def add_columns(sums: list[float], columns: Iterable[Iterable[float]]) -> list[float]:
        """Each sum with what stands at its place in each column, added in their order."""
        return list(map(sum, zip(sums, *columns, strict=False)))

else:
    COLUMNS_AT_ONCE = 4

    def add_columns(sums: list[float], columns: Iterable[Iterable[float]]) -> list[float]:
        """Each sum with what stands at its place in each column, added in their order."""
        # Not sum(), which rounds otherwise here than the stock collector's additions.
        added: Iterable[float] = sums
        for column in columns:
            added = map(add, added, column)
        return list(added)


def _by_labels(series: Iterable[Series]) -> list[int]:
    """The numbers of the series, grouped by labels."""
    found: dict[LabelSet, list[int]] = {}
    for number, (_, labels) in enumerate(series):
        found.setdefault(labels, []).append(number)
    return [number for numbers in found.values() for number in numbers]


def _steps(size: int, places: Sequence[int], indices: Sequence[int]) -> list[list[int]]:
    """The index for each place; a series that a file has twice gets a further step."""
    index_of = dict(zip(places, indices, strict=True))
    if len(index_of) == len(places):
        return [list(map(index_of.get, range(size), repeat(NOT_HERE)))]
    steps: list[list[int]] = []
    for place, index in zip(places, indices, strict=True):
        free = next((step for step in steps if step[place] == NOT_HERE), None)
        if free is None:
            free = [NOT_HERE] * size
            steps.append(free)
        free[place] = index
    return steps


class BucketBounds(dict[str, float | None]):
    """The number in each value of the label 'le'; None if it is not a number, as in foreign files."""

    def __missing__(self, value: str) -> float | None:
        try:
            found = float(value)
        except ValueError:
            found = None
        self[value] = found
        return found


class BucketLabels(dict[float, tuple[str, str]]):
    """The label of each bound."""

    def __missing__(self, bound: float) -> tuple[str, str]:
        found = self[bound] = "le", floatToGoString(bound)
        return found


def _bucket_bound(labels: LabelSet, bounds_of: BucketBounds) -> tuple[float | None, LabelSet]:
    """The bound, if it is a bucket, and the labels without it."""
    for place, (name, value) in enumerate(labels):
        if name == "le":
            return bounds_of[value], labels[:place] + labels[place + 1 :]
    return None, labels


def _accumulated(sums: Sequence[float], blocks: Iterable[Block]) -> Sequence[float]:
    values = array("d")
    for first, first_bucket, end, count_at in blocks:
        own = sums[first:first_bucket]
        values.extend(own)
        if first_bucket == end:
            continue
        buckets = list(accumulate(sums[first_bucket:end]))
        if count_at == NOT_HERE:
            buckets.append(buckets[-1])
        else:
            values[count_at - len(own)] = buckets[-1]
        values.extend(buckets)
    return values


def _last(_current: float, value: float) -> float:
    return value


CHOICES = {"min": min, "max": max}
