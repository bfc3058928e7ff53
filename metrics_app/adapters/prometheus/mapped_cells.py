"""Numbers in prometheus_client's files, by their place in its memory map: one write for each recording.

Only this module touches private parts of prometheus_client: the attributes `_f`, `_m`, `_used` and
`_positions` of `MmapedDict`, and the place of a value in its map. `contract_fault` says whether they are as
in the pinned release; if not, the module `values` does the same without them.
"""

import mmap
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path
from time import monotonic

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from metrics_app.adapters.prometheus.descriptors import close_file, identify
from metrics_app.adapters.prometheus.files import DOUBLE, HEADER, Key, parsed, scan, stored_keys, used_bytes
from metrics_app.adapters.prometheus.folder import MAGIC, MAGIC_WITH_BASELINES
from metrics_app.adapters.prometheus.values import Cell, ValueFile, reserve


@cache
def contract_fault() -> str | None:
    """How the installed prometheus_client differs from what this module relies on; None if it does not."""
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "counter_0.db"
            reserve(path, mmap.PAGESIZE)
            with closing(MmapedDict(str(path))) as file:
                return _difference(file, path)
    except Exception as error:  # noqa: BLE001 - whatever a future release raises, or a disk without room
        return f"{type(error).__name__}: {error}"


def _difference(file: MmapedDict, path: Path) -> str | None:
    key = mmap_key("a", "a_total", ["x"], ["1"], "help")
    file.write_value(key, 1.5, 2.5)
    index = file._positions[key] // DOUBLE  # noqa: SLF001
    with memoryview(file._m) as of_bytes, of_bytes.cast("B") as flat, flat.cast("d") as view:  # noqa: SLF001
        view[index] = 3.5
        if file.read_value(key) != (3.5, 2.5) or view[index + 1] != 2.5:  # noqa: PLR2004 - as written
            return "a value is not where it was expected"
    data = path.read_bytes()
    if any(data[4:8]):
        return "the bytes that mark a file as the adapter's own are not free"
    if used_bytes(data) != file._used:  # noqa: SLF001
        return "a file does not begin with how much of it is used"
    keys, places = scan(data, HEADER, used_bytes(data))
    if places != [index] or parsed(keys[0]) != Key("a", "a_total", (("x", "1"),), "help"):
        return "an entry of a file has another form"
    return None if callable(file._f.close) else "the file cannot be closed apart from its map"  # noqa: SLF001


class MappedCell:
    """Assigning to the view stores eight aligned bytes at once, so a reader never sees half a value."""

    __slots__ = ("index", "value", "view")

    def __init__(self, view: "memoryview[float]", index: int) -> None:
        self.view = view
        self.index = index
        self.value: float = view[index]

    def add(self, amount: float) -> None:
        self.value += amount
        try:
            # The value is read again, because code that interrupts this may have added to it.
            self.view[self.index] = self.value
        except TypeError:
            self.value = self.view[self.index]  # a value that is not a number changes nothing
            raise

    def set(self, value: float) -> None:
        self.set_at(value, 0.0)  # from now on it counts in full, whatever was removed before

    def set_at(self, value: float, timestamp: float) -> None:
        self.view[self.index] = value
        self.value = value
        self.view[self.index + 1] = timestamp

    def baseline(self) -> float:
        """The cell's value when its series was last removed."""
        return self.view[self.index + 1]


class TimedMappedCell(MappedCell):
    __slots__ = ()

    def set(self, value: float) -> None:
        self.set_at(value, monotonic())

    def baseline(self) -> float:
        return 0.0  # it holds a time


class MappedFile(ValueFile):
    def __init__(self, path: Path, *, is_timed: bool = False) -> None:
        super().__init__(path, is_timed=is_timed)
        # Closes the descriptor at the end of the process at the latest; the map lives as long as its cells.
        file = self._values._f  # noqa: SLF001
        self._close = weakref.finalize(self, close_file, file, identify(file.fileno()))
        self._view = self._map()
        if self._values._m[4:8] != MAGIC_WITH_BASELINES:  # noqa: SLF001
            self._values._m[4:8] = MAGIC  # noqa: SLF001

    def close(self) -> None:
        self._close()

    def _stored_keys(self) -> Iterable[Key]:
        return stored_keys(self._path)

    def _made(self, key: str) -> Cell:
        # An entry takes at most the key, its length, eight bytes of padding and two doubles.
        needed = self._values._used + len(key.encode()) + 4 * DOUBLE  # noqa: SLF001
        size = self._path.stat().st_size
        while needed > size:
            size *= 2
        reserve(self._path, size)
        self._values.read_value(key)
        if self._values._m is not self._view.obj:  # noqa: SLF001 - it grew, into a new map of the same file
            self._view = self._map()
        made = TimedMappedCell if self._is_timed else MappedCell
        return made(self._view, self._values._positions[key] // DOUBLE)  # noqa: SLF001

    def _map(self) -> "memoryview[float]":
        return memoryview(self._values._m).cast("B").cast("d")  # noqa: SLF001
