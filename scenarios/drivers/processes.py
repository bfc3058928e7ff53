"""Finds processes by pid files and ports, in Linux's /proc.

A process is identified by a descriptor (pidfd), because numbers are reused once their process is gone.
https://man7.org/linux/man-pages/man2/pidfd_open.2.html
"""

import os
import re
import select
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_MAX_PIDFILE_BYTES = 4096
_PID = re.compile(rb"\s*([0-9]{1,10})\s*(?:\n|\Z)")
_LISTENS = "0A"
# Start times have a resolution of 10 ms, but the boot time they are relative to only one of 1 s.
_CLOCK_SLACK = 2.0


@dataclass(frozen=True, slots=True)
class PidFile:
    """The content of a pid file, and when it was written (Unix time in seconds)."""

    path: str
    pid: int
    written_at: float


def read_pid_file(path: str, folders: Sequence[Path]) -> PidFile:
    """Read a pid file that is really in one of the folders.

    Raises:
        ValueError: the file is elsewhere, or is not a pid file.
        OSError: the file cannot be opened.
    """
    # Opened before it is checked, so that nobody can replace it in between. Links are not followed, and named
    # pipes do not block.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        real = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not any(real.is_relative_to(folder.resolve()) for folder in folders):
            raise ValueError(f"{path!r} leads to {str(real)!r}, outside the allowed folders")
        status = os.fstat(descriptor)
        found = _PID.match(os.read(descriptor, _MAX_PIDFILE_BYTES)) if stat.S_ISREG(status.st_mode) else None
        if found is None or int(found[1]) == 0:
            raise ValueError(f"{path!r} is not a pid file: its first line must be the number of a process")
        return PidFile(path, int(found[1]), status.st_mtime)
    finally:
        os.close(descriptor)


def find_pid_files(folders: Sequence[Path]) -> Iterator[PidFile]:
    """Yield every readable *.pid file in the folders."""
    for folder in folders:
        for path in sorted(folder.glob("*.pid")):
            with suppress(ValueError, OSError):
                yield read_pid_file(str(path), folders)


def find_listeners(port: int) -> set[int]:
    """The processes that listen on this TCP port and are visible to this user."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _find_inodes(table, port)}
    return {pid for pid in _list_pids() if sockets and _has_socket(pid, sockets)}


def _find_inodes(table: str, port: int) -> Iterator[str]:
    with suppress(OSError):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def _list_pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _has_socket(pid: int, sockets: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) in sockets:
                    return True
    return False


@contextmanager
def open_process(pid: int) -> Iterator[int]:
    """Yield a descriptor of the process.

    Raises:
        ProcessLookupError: the process is gone.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ValueError as error:
        raise ProcessLookupError(f"there is no process {pid}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def has_ended(descriptor: int) -> bool:
    """Whether the process of this descriptor has ended, even if it is hidden."""
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    return bool(ended.poll(0))


def is_hidden(pid: int) -> bool:
    """Whether /proc does not show the process: it does not exist, or is hidden from this user (hidepid)."""
    return not Path(f"/proc/{pid}").exists()


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return _read_status(pid)[0] not in {"Z", "X"}
    except OSError:
        return False


def read_start_time(pid: int) -> float:
    """When the process was started, as Unix time in seconds."""
    boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    ticks = int(_read_status(pid)[19]) / os.sysconf("SC_CLK_TCK")
    return (int(boot[1]) if boot else 0) + ticks


def has_started_after(pid: int, file: PidFile) -> bool:
    """Whether the process started after the file was written, so that its number has been reused."""
    return read_start_time(pid) > file.written_at + _CLOCK_SLACK


def _read_status(pid: int) -> list[str]:
    """The fields after the command's name, which may contain anything; see proc(5), /proc/pid/stat."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def find_ancestors(pid: int) -> Iterator[int]:
    """The process, its parent, and so on."""
    while pid > 0:
        yield pid
        try:
            pid = int(_read_status(pid)[1])
        except OSError:
            return


def read_command_line(pid: int) -> tuple[Path, list[str]]:
    """The working directory and the words of the process's command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return Path(f"/proc/{pid}/cwd").readlink(), words
