"""When each counter and histogram began to count, as `_created` samples for scrapers of OpenMetrics.

The files hold them as gauges whose minimum is exposed, because a series began with its first process.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from prometheus_client.mmap_dict import mmap_key

from metrics_app.adapters.prometheus.snapshot import Family, LabelSet, Series, Snapshot
from metrics_app.adapters.prometheus.values import Cell
from metrics_app.catalogue import Merge

PREFIX = f"gauge_{Merge.MIN}"
"""How the names of the files begin that hold them."""
SUFFIX = "_created"


def note_creation(
    find_cell: Callable[[str], Cell], name: str, label_names: Sequence[str], label_values: Sequence[str]
) -> None:
    """Record that this series begins now, unless it has already begun."""
    created = f"{name}{SUFFIX}"
    cell = find_cell(mmap_key(created, created, list(label_names), list(label_values), created))
    if not cell.value:
        cell.set(time.time())


class Creations:
    """Adds the samples to their families; a combined family is kept while its parts stay the same."""

    def __init__(self) -> None:
        self._joined: dict[str, Joined] = {}

    def join(self, snapshots: Iterable[Snapshot], *, openmetrics: bool) -> list[Snapshot]:
        """Each metric with its `_created` samples, or, in formats that have none, without."""
        found = list(snapshots)
        created = {
            name.removesuffix(SUFFIX): snapshot
            for snapshot in found
            if (name := snapshot.family.name).endswith(SUFFIX) and not snapshot.family.is_library
        }
        created = {
            family.name: created[family.name]
            for family, _ in found
            if family.name in created and family.type in {"counter", "histogram"}
        }
        if not created:
            return found
        left_out = {id(snapshot) for snapshot in created.values()}
        kept = [snapshot for snapshot in found if id(snapshot) not in left_out]
        if not openmetrics:
            return kept
        return [
            self._join(snapshot, created[snapshot.family.name])
            if snapshot.family.name in created and not snapshot.family.is_library
            else snapshot
            for snapshot in kept
        ]

    def _join(self, snapshot: Snapshot, created: Snapshot) -> Snapshot:
        joined = self._joined.get(snapshot.family.name)
        if joined is None or not joined.matches(snapshot, created):
            joined = self._joined[snapshot.family.name] = Joined(snapshot, created)
        return joined.fill(snapshot, created)


class Joined:
    """A family with one more sample for each label set that began at a known moment."""

    def __init__(self, snapshot: Snapshot, created: Snapshot) -> None:
        self._families = snapshot.family, created.family
        self._began = [bool(moment) for moment in created.values]
        at = {
            labels: place
            for place, (_, labels) in enumerate(created.family.series)
            # Zero for a moment, until its process has written it.
            if self._began[place]
        }
        size, series = len(snapshot.values), list[Series]()
        self._places: list[int] = []
        """Of each sample in the values of the family, followed by those of its creations."""
        numbered = enumerate(snapshot.family.series)
        for labels, samples in groupby(numbered, key=lambda sample: _without_bound(sample[1][1])):
            for place, sample in samples:
                self._places.append(place)
                series.append(sample)
            if labels in at:
                self._places.append(size + at[labels])
                series.append((f"{snapshot.family.name}{SUFFIX}", labels))
        family = snapshot.family
        self._family = Family(family.name, family.help, family.type, series, is_mixed=family.is_mixed)

    def matches(self, snapshot: Snapshot, created: Snapshot) -> bool:
        same = self._families[0] is snapshot.family and self._families[1] is created.family
        return same and self._began == [bool(moment) for moment in created.values]

    def fill(self, snapshot: Snapshot, created: Snapshot) -> Snapshot:
        values = [*snapshot.values, *created.values]
        return Snapshot(self._family, [values[place] for place in self._places])


def _without_bound(labels: LabelSet) -> LabelSet:
    return tuple([label for label in labels if label[0] != "le"])
