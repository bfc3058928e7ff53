"""Which process writes which files: each holds the lowest free slot, by a lock that the kernel frees at its
death.

A slot N is the POSIX record lock on `slot-N.lock`. Such a lock ends with its process, even by kill -9;
`F_GETLK` names its holder; fork does not pass it on. Two traps come with it:

- Closing *any* descriptor of a file drops every lock this process has on it. A file whose lock this
  process holds is therefore never opened again: `_held` knows which those are.
- A child made by fork holds nothing, but has the parent's descriptor: it is closed at once, because
  closing it later would drop the lock if the child had claimed the same slot by then.
"""

import errno
import fcntl
import logging
import os
import stat
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from metrics_app.adapters.prometheus import servers
from metrics_app.adapters.prometheus.descriptors import KeptDescriptor
from metrics_app.adapters.prometheus.folder import (
    FIRST_VERSION,
    LIVE_GAUGE,
    OWN_NAME,
    OWNERS_FILE,
    SLOT_LOCK,
    directory_locked,
    is_own,
    open_own,
    share,
    take_shared,
)

logger = logging.getLogger(__name__)

# struct flock: type, whence, start, length, pid; the BSDs, macOS among them, put the numbers first.
_FLOCK, _TYPE, _PID = ("hhqqi", 0, 4) if sys.platform == "linux" else ("qqihh", 3, 2)

_ANSWER = struct.Struct(_FLOCK)
_QUESTION = _ANSWER.pack(*[fcntl.F_WRLCK if place == _TYPE else 0 for place in range(5)])

NOT_LOCKABLE = {errno.ELOOP, errno.EISDIR, errno.ENXIO}
"""A symlink, a folder or a pipe has the name of a lock file."""

_held: dict[str, KeptDescriptor] = {}


class Slot:
    """A slot that this process holds, until it releases it or dies."""

    def __init__(self, directory: Path, number: int, descriptor: int) -> None:
        self.number = number
        self._path = _lock_file(directory, number)
        self._descriptor = descriptor
        self._kept = _held[self._path] = KeptDescriptor(descriptor)

    def record_server(self) -> None:
        """Record the holder over the earlier content, which needs no space on a full disk."""
        record = servers.add_server(_recorded(self._descriptor)).encode()
        os.pwrite(self._descriptor, record, 0)
        os.ftruncate(self._descriptor, len(record))

    def is_lost(self) -> bool:
        """Whether somebody removed or closed its lock file, so that nobody reads its counts."""
        try:
            # Not opened, which would drop the lock.
            found = os.stat(self._path)  # noqa: PTH116 - every second
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._kept.identity or self.is_closed()

    def is_closed(self) -> bool:
        """Whether somebody closed the descriptors of this process."""
        return self._kept.is_lost()

    def release(self) -> None:
        if _held.pop(self._path, None) is not None:
            self._kept.close()


def arrive(directory: Path, *, may_empty: bool) -> KeptDescriptor | None:
    """Lock the directory as one of its processes; returns the descriptor, which holds it until closed.

    A process that is alone removes the files of earlier ones, because a server that starts begins at zero.
    """
    directory = directory.resolve()
    descriptor, alone = take_shared(directory)
    if descriptor is None:
        return None
    if not alone:
        return KeptDescriptor(descriptor)
    # Processes of the first version hold slots and nothing else.
    with suppress(OSError):
        if may_empty and not holders(directory) and not _a_server_is_alive(directory):
            _empty(directory)
    shared = share(descriptor)
    return None if shared is None else KeptDescriptor(shared)


def claim(directory: Path) -> Slot:
    """The lowest slot that no process holds, its live gauges removed.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with directory_locked(directory):
        slot = Slot(directory, *_lock_lowest_free(directory))
        try:
            # The last owner may have died without resetting its live gauges.
            for path in directory.glob(f"gauge_live*-{slot.number}.db"):
                if is_own(path):
                    path.unlink()
            slot.record_server()
        except OSError:
            slot.release()
            raise
        return slot


def forget_the_dead(directory: Path, seconds: float) -> None:
    """Remove the live gauges of slots that nobody holds: their last owners were killed.

    Raises:
        OSError: the directory cannot be written, or another process is changing it.
    """
    with directory_locked(directory, seconds):
        held = holders(directory)
        for name in os.listdir(directory):  # noqa: PTH208 - at each scrape
            live = LIVE_GAUGE.fullmatch(name)
            if live and int(live["number"]) not in held and _may_remove(directory / name):
                # Its slot is locked meanwhile, so that claims without the directory's lock take another one.
                descriptor = _lock(_lock_file(directory.resolve(), int(live["number"])))
                if descriptor is not None:
                    (directory / name).unlink(missing_ok=True)
                    os.close(descriptor)


def holders(directory: Path) -> dict[int, int]:
    """The slots that are held, and the process that holds each; 0 if it is not visible from here."""
    found = {}
    folder = os.path.realpath(directory)
    for name in os.listdir(folder):  # noqa: PTH208 - at each scrape, and ten times as fast
        number = _lock_number(name) if name.endswith(".lock") else None
        if number is not None:
            path = f"{folder}/{name}"
            pid = os.getpid() if path in _held else _holder(path)
            if pid is not None:
                found[number] = pid
    return found


@lru_cache(maxsize=1024)
def _lock_number(name: str) -> int | None:
    """The slot whose lock file has this name."""
    match = SLOT_LOCK.fullmatch(name)
    return int(match[1]) if match else None


def _empty(directory: Path) -> None:
    for path in list(directory.iterdir()):
        if _may_remove(path) or (path.name == OWNERS_FILE and not path.is_dir()):
            path.unlink(missing_ok=True)
    # From now on a file with a name of the first version is prometheus_client's own.
    for path in directory.glob("slot-*.lock"):
        if SLOT_LOCK.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            with suppress(OSError):
                if servers.is_from_first_version(path.read_text(errors="replace")):
                    path.write_text("")


def _may_remove(path: Path) -> bool:
    """Whether the adapter wrote it, in this version or in the first one."""
    if OWN_NAME.fullmatch(path.name):
        return is_own(path)
    old = FIRST_VERSION.fullmatch(path.name)
    if old is None or path.is_symlink():
        return False
    # prometheus_client's files have the same names: they are the adapter's only with its lock file.
    lock = _lock_file(path.parent.resolve(), int(old[1] or old[2]))
    if lock in _held:
        return False
    try:
        return servers.is_from_first_version(Path(lock).read_text(errors="replace"))
    except OSError:
        return False


def _lock_file(directory: Path, number: int) -> str:
    return f"{directory}/slot-{number}.lock"


def _lock_lowest_free(directory: Path) -> tuple[int, int]:
    """The slot's number, and the descriptor that now holds it."""
    number = 0
    while True:
        descriptor = _lock(_lock_file(directory, number))
        if descriptor is not None:
            if _is_usable(directory, number, descriptor):
                return number, descriptor
            os.close(descriptor)
        number += 1


def _is_usable(directory: Path, number: int, descriptor: int) -> bool:
    """Whether no file of this slot belongs to somebody else, such as another user."""
    if servers.is_from_first_version(_recorded(descriptor)) and any(
        (match := FIRST_VERSION.fullmatch(path.name)) and int(match[1] or match[2]) == number
        for path in directory.iterdir()
    ):
        return False  # its files are read unchanged until the directory is emptied
    of_slot = [
        path
        for path in directory.iterdir()
        if (name := OWN_NAME.fullmatch(path.name))
        and int(name["values"] or name["native"] or name["record"]) == number
    ]
    foreign = [path for path in of_slot if not is_own(path) or not os.access(path, os.R_OK | os.W_OK)]
    if foreign:
        logger.warning("Slot %d of %s is left alone: %s is not this adapter's", number, directory, foreign[0])
    return not foreign


def _lock(path: str) -> int | None:
    """The descriptor that now holds the lock; None if somebody else holds it or owns the file."""
    if path in _held:
        return None
    try:
        descriptor = open_own(Path(path), os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in NOT_LOCKABLE or (isinstance(error, PermissionError) and os.path.lexists(path)):
            return None  # another user's, with files that this one may not write
        raise
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except (BlockingIOError, PermissionError):
        pass
    os.close(descriptor)
    return None


def _holder(path: str) -> int | None:
    """The holder of this lock: None for nobody, 0 for a process that is not visible from here."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return 0  # another user's lock, which may be held
    except OSError:
        return None
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _QUESTION)
    except OSError:
        return None  # a folder
    finally:
        os.close(descriptor)
    fields = _ANSWER.unpack(answer)
    return None if fields[_TYPE] == fcntl.F_UNLCK else max(0, fields[_PID])


def _a_server_is_alive(directory: Path) -> bool:
    """Whether a server that had processes here still runs, so that the next ones continue its counters."""
    records = [
        path.read_text(errors="replace")
        for path in directory.glob("slot-*.lock")
        if path.is_file() and not path.is_symlink()
    ]
    return any(servers.is_alive(line) for record in records for line in record.splitlines() if line.strip())


def _recorded(descriptor: int) -> str:
    return os.pread(descriptor, servers.MAX_RECORD, 0).decode(errors="replace")


def _close_inherited_descriptors() -> None:
    for kept in _held.values():
        kept.close()
    _held.clear()


os.register_at_fork(after_in_child=_close_inherited_descriptors)
