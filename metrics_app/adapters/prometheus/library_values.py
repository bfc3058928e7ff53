"""The values of the metrics that libraries make with prometheus_client, stored in the slot of this process.

Each replaces prometheus_client's own value: it counts in memory until the process has a slot, and then in the
slot's files. The first recording claims one. Locks are always taken in this order: that of the adapter, then
`_lock`, under which nothing else is called.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from threading import RLock, get_ident
from typing import Protocol
from weakref import WeakSet

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.samples import Exemplar

from metrics_app.adapters.families import ReentrantUseError
from metrics_app.adapters.prometheus.removal import remove_library_series
from metrics_app.adapters.prometheus.series_exemplars import Exemplar as SeriesExemplar
from metrics_app.adapters.prometheus.series_exemplars import find_series

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_TRIES = 1.0

# Re-entrant, because a finaliser or a signal handler may record during a recording.
_lock = RLock()


class LibraryCell(Protocol):
    """One number in a file, or in memory."""

    value: float

    def add(self, amount: float) -> None: ...

    def set_at(self, value: float, timestamp: float) -> None: ...

    def baseline(self) -> float: ...


class PendingCell:
    """A value recorded while there was no slot."""

    __slots__ = ("is_set", "timestamp", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.timestamp = 0.0
        self.is_set = False

    def add(self, amount: float) -> None:
        self.value += amount

    def set_at(self, value: float, timestamp: float) -> None:
        self.value, self.timestamp, self.is_set = value, timestamp, True

    def baseline(self) -> float:
        return 0.0

    def move_to(self, cell: LibraryCell) -> None:
        if self.is_set:
            cell.set_at(self.value, self.timestamp)
        elif self.value:
            cell.add(self.value)


class LibraryStore(Protocol):
    """Where the values of this process are stored."""

    @property
    def directory(self) -> Path: ...

    def changing(self) -> AbstractContextManager[None]:
        """Hold the lock of the files; raises ReentrantUseError if the caller has interrupted a change."""
        ...

    def library_cell(self, prefix: str, key: str) -> LibraryCell:
        """Raises OSError when it cannot be stored."""
        ...

    def note_exemplar(self, exemplar: SeriesExemplar, /) -> None: ...


class Library:
    """All values of this process, and the store of their cells.

    `find_store` is called when something is recorded; None means that nothing can be stored.
    """

    def __init__(self) -> None:
        self.find_store: Callable[[], LibraryStore | None] = lambda: None
        self.store: LibraryStore | None = None
        self._values: WeakSet[LibraryValue] = WeakSet()
        self._unbound: WeakSet[LibraryValue] = WeakSet()
        self._binding: set[int] = set()
        """The threads that are in the midst of `bind`."""
        self._next_try = 0.0

    def add(self, value: "LibraryValue") -> None:
        with _lock:
            self._values.add(value)
            self._unbound.add(value)

    def bind(self) -> None:
        """Give every value its cell, so that unrecorded values are exposed as zero; cheap if all have one.

        All together, because a histogram with missing buckets would be wrong.
        """
        thread = get_ident()
        if not self._unbound or thread in self._binding or time.monotonic() < self._next_try:
            return
        self._binding.add(thread)
        try:
            store = self.find_store()
            if store is None:
                self._next_try = time.monotonic() + SECONDS_BETWEEN_TRIES
                return
            with store.changing():
                self._bind_to(store)
        except ReentrantUseError:
            return  # it interrupts a change: the next recording tries again
        except OSError as error:
            self._next_try = time.monotonic() + SECONDS_BETWEEN_TRIES
            logger.debug("prometheus_client's metrics stay in memory: %s", error)
        finally:
            self._binding.discard(thread)

    def remove(self, metric: str, labels: Mapping[str, str]) -> None:
        """Remove the series that have at least these labels from the files of all processes."""
        store = self.find_store()
        try:
            if store is not None:
                remove_library_series(store.directory, metric, labels)
        except OSError as error:
            logger.warning("Series of %r are not removed: %s", metric, error)

    def unbind(self, store: LibraryStore) -> None:
        """Forget every cell because the slot is released; does nothing for another adapter's store."""
        if self.store is store:
            self._forget()

    def has_recorded(self) -> bool:
        """Whether any value is not zero, recorded by this process or by earlier owners of its slot."""
        with _lock:
            return any((value.cell or value.pending).value for value in self._values)

    def after_fork(self) -> None:
        """Start again in the child, because earlier recordings belong to the parent."""
        self._binding = set()
        self._next_try = 0.0
        self._forget()

    def _bind_to(self, store: LibraryStore) -> None:
        with _lock:
            unbound = list(self._unbound)
        for value in unbound:
            cell = store.library_cell(value.prefix, value.key())
            with _lock:
                value.pending.move_to(cell)
                value.pending = PendingCell()
                value.cell = cell
                self._unbound.discard(value)
        self.store = store

    def _forget(self) -> None:
        with _lock:
            self.store = None
            self._unbound = WeakSet(self._values)
            for value in self._unbound:
                value.cell = None
                value.pending = PendingCell()


library = Library()


class LibraryValue:
    """Replaces `prometheus_client.values.ValueClass`; the metrics of that library call its methods."""

    __slots__ = ("__weakref__", "_exemplar", "_parameters", "cell", "pending", "prefix")
    _multiprocess = True
    library = library

    def __init__(  # noqa: PLR0917 - as the metrics call it
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Iterable[str],
        labelvalues: Iterable[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: object,
    ) -> None:
        self.prefix = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
        self._parameters = metric_name, name, list(labelnames), list(labelvalues), help_text
        self._exemplar: Exemplar | None = None
        self.cell: LibraryCell | None = None
        self.pending = PendingCell()
        self.library.add(self)

    def key(self) -> str:
        return mmap_key(*self._parameters)

    def inc(self, amount: float) -> None:
        with _lock:
            cell = self.cell
            if cell is not None:
                cell.add(amount)
                return
        self.library.bind()
        with _lock:
            (self.cell or self.pending).add(amount)

    def set(self, value: float, timestamp: float | None = None) -> None:
        # Adding 0.0 turns a negative zero, which marks removed series, into an ordinary one.
        number = value + 0.0
        if self.cell is None:
            self.library.bind()
        with _lock:
            (self.cell or self.pending).set_at(number, timestamp or 0.0)

    def get(self) -> float:
        with _lock:
            cell = self.cell or self.pending
            return cell.value - cell.baseline()

    def set_exemplar(self, exemplar: Exemplar) -> None:
        self._exemplar = exemplar
        store = self.library.store
        if store is not None:
            metric, sample, names, values, _ = self._parameters
            series = find_series(sample, dict(zip(names, map(str, values), strict=True)))
            wall = exemplar.timestamp or time.time()
            found = SeriesExemplar(metric, series, exemplar.labels, exemplar.value, float(wall))
            store.note_exemplar(found)

    def get_exemplar(self) -> Exemplar | None:
        return self._exemplar


def after_fork_in_child() -> None:
    """Forget everything that belongs to the parent."""
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = RLock()
    library.after_fork()


os.register_at_fork(after_in_child=after_fork_in_child)
