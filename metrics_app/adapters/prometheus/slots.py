"""Which process writes which files: each holds the lowest free slot, by a lock the kernel frees on death.

A slot N is the POSIX record lock on `slot-N.lock`. Such a lock goes with its process, kill -9
included; `F_GETLK` names its holder; fork does not hand it on. Two traps come with it:

- Closing *any* descriptor of a file drops every lock this process has on it. A file whose lock this
  process holds is therefore never opened again: `_held` knows which those are.
- A child made by fork holds nothing, but has the parent's descriptor: it is closed at once, for
  closing it later would drop the lock if the child had claimed the same slot by then.
"""

import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# struct flock: type, whence, start, length, pid; the BSDs, macOS among them, put the numbers first.
_FLOCK, _TYPE, _PID = ("hhqqi", 0, 4) if sys.platform == "linux" else ("qqihh", 3, 2)

_QUESTION = struct.pack(_FLOCK, *[fcntl.F_WRLCK if place == _TYPE else 0 for place in range(5)])

GONE = "gone"

_held: dict[str, int] = {}


class Slot:
    """A slot that this process holds, until it releases it or dies."""

    def __init__(self, directory: Path, number: int, descriptor: int) -> None:
        self.number = number
        self._path = _lock_file(directory, number)
        self._descriptor = descriptor
        _held[self._path] = descriptor

    def name_server(self) -> None:
        """Write down whose process holds it, over what stands there: that needs no room on a full disk."""
        server = _server().encode()
        os.pwrite(self._descriptor, server, 0)
        os.ftruncate(self._descriptor, len(server))

    def is_lost(self) -> bool:
        """Whether somebody removed its lock file: the process then counts where nobody looks."""
        try:
            # Not opened, which would drop the lock.
            found = os.stat(self._path)  # noqa: PTH116 - at each scrape
        except FileNotFoundError:
            return True
        return not os.path.samestat(found, os.fstat(self._descriptor))

    def release(self) -> None:
        if _held.pop(self._path, None) is not None:
            os.close(self._descriptor)


def claim(directory: Path) -> Slot:
    """The lowest slot that no process holds, its live gauges removed.

    The first process of a server that finds nobody else here starts from an empty directory.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with directory_locked(directory):
        if not holders(directory) and not _a_server_is_alive(directory):
            for path in (*directory.glob("*.db"), *directory.glob("*.bin")):
                path.unlink()
        slot = Slot(directory, *_lock_lowest_free(directory))
        try:
            # The last owner may have died without setting its live gauges back.
            for path in directory.glob(f"gauge_live*_{slot.number}.db"):
                path.unlink()
            slot.name_server()
        except OSError:
            slot.release()
            raise
        return slot


def forget_the_dead(directory: Path) -> None:
    """Remove the live gauges of slots that nobody holds: their last owners were killed."""
    with directory_locked(directory):
        held = holders(directory)
        for name in os.listdir(directory):  # noqa: PTH208 - at each scrape
            number = name.rpartition("_")[2].removesuffix(".db")
            if name.startswith("gauge_live") and number.isdigit() and int(number) not in held:
                (directory / name).unlink(missing_ok=True)


def holders(directory: Path) -> dict[int, int]:
    """The slots that are held, and the process that holds each: 0 when it cannot be seen from here."""
    found = {}
    folder = str(directory.resolve())
    for name in os.listdir(folder):  # noqa: PTH208 - at each scrape, and ten times as fast
        if name.startswith("slot-") and name.endswith(".lock"):
            path = f"{folder}/{name}"
            pid = os.getpid() if path in _held else _holder(path)
            if pid is not None:
                found[int(name.removeprefix("slot-").removesuffix(".lock"))] = pid
    return found


@contextmanager
def directory_locked(directory: Path) -> Iterator[None]:
    """Nobody else claims a slot or carries a runtime counter over meanwhile."""
    # flock, unlike a record lock, also keeps two threads of one process apart.
    descriptor = os.open(directory / "directory.lock", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Not by closing alone: a child that another thread forks just now has the descriptor, too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _lock_file(directory: Path, number: int) -> str:
    return f"{directory}/slot-{number}.lock"


def _lock_lowest_free(directory: Path) -> tuple[int, int]:
    """The slot's number and the descriptor by which it is now held."""
    number = 0
    while (descriptor := _lock(_lock_file(directory, number))) is None:
        number += 1
    return number, descriptor


def _lock(path: str) -> int | None:
    """The descriptor by which the lock is now held; None when somebody else holds it or owns the file."""
    if path in _held:
        return None
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError:
        if Path(path).exists():
            return None  # another user's, with files that this one may not write
        raise
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return None
    return descriptor


def _holder(path: str) -> int | None:
    """Who holds this lock: None for nobody, 0 for a process that cannot be seen from here."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except PermissionError:
        return 0  # another user's: it may be held
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _QUESTION)
    finally:
        os.close(descriptor)
    fields = struct.unpack(_FLOCK, answer)
    return None if fields[_TYPE] == fcntl.F_UNLCK else max(0, fields[_PID])


def _a_server_is_alive(directory: Path) -> bool:
    """Whether a server that had processes here still runs: the next ones then carry on its counters.

    A server with one worker has none for a moment when it replaces it, and that is no new start.
    """
    return any(_is_alive(path.read_text(errors="replace")) for path in directory.glob("slot-*.lock"))


def _server() -> str:
    """What the processes of one server have in common: their process group, which outlives each of them.

    It is told by its leader's start time, for ids come again. With gunicorn the leader is the master;
    after USR2 the new master is in the old one's group, and the group goes on without its leader.
    """
    group = os.getpgrp()
    if group > 0:
        return f"{group} {_start(group)} {_boot()}"
    # The leader is out of sight, in another pid namespace.
    pid = os.getppid() or os.getpid()
    return f"{pid} {_start(pid)} {_boot()}"


def _is_alive(server: str) -> bool:
    group, _, leader = server.partition(" ")
    if not leader.endswith(_boot()) or not group.isdecimal():
        return False
    start = _start(int(group))
    if start != GONE:
        # A process that has the id now and not then is another: no id of a group that lives is given away.
        return leader.startswith(f"{start} ")
    try:
        os.killpg(int(group), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _start(pid: int) -> str:
    """When a process started, in ticks since the kernel did; GONE when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return GONE
    return GONE if fields[0] == "Z" else fields[19]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "this"


def _close_inherited_descriptors() -> None:
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_inherited_descriptors)
