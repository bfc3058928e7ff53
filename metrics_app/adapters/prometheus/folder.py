"""The metrics directory: which of its files are the adapter's own, who uses it, and when it is emptied.

Nothing else is ever removed or written to: a file is the adapter's own if its name and its content say so,
and it is a regular file. Files that prometheus_client names by process ids are only read.

A process that has an adapter holds a shared lock on the directory itself. The kernel frees it when the last
process that inherited it is gone, even by kill -9, in any container. So a process that gets the lock
exclusively knows that it is alone, and starts from an empty directory.
"""

import fcntl
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

from metrics_app.adapters.families import ReentrantUseError
from metrics_app.adapters.prometheus.files import FILE_NAME, parsed

TYPES = "(?:counter|histogram|summary|gauge_(?:live)?(?:all|min|max|sum|mostrecent))"
OWN_NAME = re.compile(
    rf"(?:{TYPES}_(?:slot|library)-(?P<values>\d+)\.db|slot-(?P<native>\d+)\.(?:native|rewritten)"
    r"|slot-(?P<record>\d+)\.(?:runtime|exemplars|series-exemplars))"
)
NATIVE_FILE = re.compile(r"slot-\d+\.native")
LIVE_GAUGE = re.compile(r"gauge_live[a-z]*_(?:slot-|library-)?(?P<number>\d+)\.db")
FIRST_TYPES = "(?:counter|histogram|gauge_livesum|gauge_mostrecent)"
FIRST_VERSION = re.compile(rf"(?:{FIRST_TYPES}_(\d+)\.db|(?:runtime|exemplars)-(\d+)\.bin)")
SLOT_LOCK = re.compile(r"slot-(\d+)\.lock")
DIRECTORY_LOCK = "directory.lock"
OWNERS_FILE = "directory.owners"
OF_THE_SYSTEM = re.compile(r"lost\+found|\.nfs.*|\.gitkeep|\.gitignore")

MAGIC = b"XMT1"
"""Stands behind the first four bytes of the files of values, where prometheus_client leaves four free."""
MAGIC_WITH_BASELINES = b"XMT2"
"""The same, where series of the file were removed; see the module `removal`."""
RECORD_MAGIC = b"XMT1\0rec"
"""How the other files of a slot begin."""

INITIAL_SIZE = 1 << 16
"""Bytes of a new file of values."""

SECONDS_TO_WAIT = 5.0
SECONDS_A_SCRAPE_WAITS = 0.5


def values_file(prefix: str, number: int) -> str:
    return f"{prefix}_slot-{number}.db"


def library_file(prefix: str, number: int) -> str:
    """Separate from the adapter's own metrics, so that two with one name are reported and not added up."""
    return f"{prefix}_library-{number}.db"


def native_file(number: int) -> str:
    """Not `.db`: prometheus_client's collector fails on a type that it does not know."""
    return f"slot-{number}.native"


def rewritten_file(number: int) -> str:
    """The new content of another file of the slot, until it replaces that file."""
    return f"slot-{number}.rewritten"


def is_own(path: Path) -> bool:
    """Whether this is a file of a slot that this adapter wrote, by its name and its content."""
    name = OWN_NAME.fullmatch(path.name)
    try:
        if name is None or not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            begin = file.read(INITIAL_SIZE + 1)
    except OSError:
        return False
    head = begin[:8]
    if not head.strip(b"\0"):
        # Only zeros: the process was killed before it wrote the first byte.
        return len(begin) <= INITIAL_SIZE and not begin.strip(b"\0")
    if name["record"]:
        return head == RECORD_MAGIC
    # A release of prometheus_client with another layout gets no magic.
    return head[4:] in {MAGIC, MAGIC_WITH_BASELINES} or is_readable(path)


def is_readable(path: Path) -> bool:
    """Whether prometheus_client's own reader accepts it."""
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(str(path)):
            parsed(key.encode())
    except Exception:  # noqa: BLE001 - whatever it raises about a foreign file
        return False
    return True


def mark_own(path: Path, magic: bytes, at: int) -> None:
    """Write the magic into a file that has been given its size."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.pwrite(descriptor, magic, at)
    finally:
        os.close(descriptor)


def open_own(path: Path, flags: int) -> int:
    """Open one of the adapter's files, and make it as readable as the directory, whatever the umask."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with suppress(OSError):
            os.fchmod(descriptor, 0o600 | path.parent.stat().st_mode & 0o044)
        return descriptor


def foreign_files(directory: Path) -> list[str]:
    """The names of files that belong neither to the adapter nor to prometheus_client."""
    return sorted(path.name for path in directory.iterdir() if not _belongs_here(path))


def unreadable_files(directory: Path) -> list[str]:
    """The names of the adapter's files that this user cannot open."""
    return sorted(
        path.name
        for path in directory.iterdir()
        if _has_own_name(path.name) and not os.access(path, os.R_OK) and not path.is_symlink()
    )


def _has_own_name(name: str) -> bool:
    return name in {DIRECTORY_LOCK, OWNERS_FILE} or bool(
        SLOT_LOCK.fullmatch(name) or OWN_NAME.fullmatch(name)
    )


def _belongs_here(path: Path) -> bool:
    name = path.name
    if OF_THE_SYSTEM.fullmatch(name):
        return True
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    # A lock file is not opened, because closing it would drop a lock that this process holds.
    if name in {DIRECTORY_LOCK, OWNERS_FILE} or SLOT_LOCK.fullmatch(name) or FIRST_VERSION.fullmatch(name):
        return True
    if OWN_NAME.fullmatch(name):
        return is_own(path) or not os.access(path, os.R_OK)
    return FILE_NAME.fullmatch(name) is not None


def take_shared(directory: Path) -> tuple[int | None, bool]:
    """Lock the directory; returns the descriptor, if it can be locked, and whether nobody else held it.

    A caller that is alone holds it exclusively until `share`, so that nobody else arrives meanwhile.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return share(descriptor), False
    except OSError:  # some file systems cannot lock directories
        return share(descriptor), False
    return descriptor, True


def share(descriptor: int) -> int | None:
    """Hold the directory together with others; if that fails, close the descriptor and return None."""
    try:
        _flock(descriptor, fcntl.LOCK_SH, SECONDS_TO_WAIT)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


_inside: set[int] = set()
"""The threads that are in the midst of `directory_locked`."""
_section_descriptors: set[int] = set()
_threads = threading.Lock()
"""Keeps the threads of this process apart, also where the directory's lock cannot be opened."""


@contextmanager
def directory_locked(directory: Path, seconds: float | None = None) -> Iterator[None]:
    """Keep others from claiming a slot or carrying a runtime counter over inside the block.

    If its file cannot be opened, because another user made it, nobody is kept out: slots have their own
    locks, and only a number of one scrape may be wrong.

    Raises:
        ReentrantUseError: this thread is already inside, interrupted by a finaliser or signal handler.
        TimeoutError: another process has been inside for too long; perhaps it is stopped.
        OSError: the directory cannot be written, or is not there.
    """
    thread = threading.get_ident()
    if thread in _inside:
        raise ReentrantUseError
    threads = _threads
    seconds = SECONDS_TO_WAIT if seconds is None else seconds
    if not threads.acquire(timeout=seconds):
        raise TimeoutError("another thread has kept the metrics directory locked")
    descriptor = None
    try:
        _inside.add(thread)
        with suppress(PermissionError):
            descriptor = open_own(directory / DIRECTORY_LOCK, os.O_RDONLY)
            _section_descriptors.add(descriptor)
            _flock(descriptor, fcntl.LOCK_EX, seconds)
        yield
    finally:
        _inside.discard(thread)
        if descriptor in _section_descriptors:
            _section_descriptors.discard(descriptor)
            # Not only by closing, because a child that another thread forks just now has the descriptor, too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        threads.release()


def _flock(descriptor: int, operation: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    pause = 0.0005
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise TimeoutError("another process has kept the metrics directory locked") from error
            time.sleep(pause)
            pause = min(0.02, 2 * pause)
        else:
            return


def _close_inherited_descriptors() -> None:
    """In a forked child, because the lock would otherwise outlive a parent that is killed inside."""
    global _threads  # noqa: PLW0603 - another thread of the parent may have held it
    _threads = threading.Lock()
    for descriptor in _section_descriptors:
        os.close(descriptor)
    _section_descriptors.clear()
    _inside.clear()


os.register_at_fork(after_in_child=_close_inherited_descriptors)
