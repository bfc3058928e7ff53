"""Processes: which of them a fault means, and which are never touched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import time
from typing import Any, Callable, Mapping, Sequence

from injector.host.arguments import Process, Refusal, get_port, get_text
from injector.host.limits import END_SECONDS
from injector.host.programs import read_text
from injector.host.store import now

MAX_TARGETS = 64
PID_FILE_SLACK = 2.0
# What the kernel shows as the name of a guardian that was forked; it has at most 15 characters.
GUARDIAN_NAME = "fault-guardian"


def read_process(pid: int) -> tuple[str, int, int]:
    """State, parent and start time in clock ticks since boot, from proc(5).

    Raises:
        OSError: there is no such process.
    """
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    return words[0], int(words[1]), int(words[19])


def is_running(process: Sequence[int]) -> bool:
    """Whether exactly this process runs: another one may have its number by now."""
    try:
        state, _, start = read_process(process[0])
    except (OSError, IndexError, ValueError):
        return False
    return start == process[1] and state not in {"Z", "X"}


def is_stopped(process: Sequence[int]) -> bool:
    """Whether it is stopped, or will be before it runs again: SIGSTOP takes effect once it gets a core."""
    # The second time, because it may stop between the looks at its state and at its signals.
    return is_running(process) and any(has_stop(process[0]) for _ in range(2))


def has_stop(pid: int) -> bool:
    text = read_text(f"/proc/{pid}/status")
    masks = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", text, re.MULTILINE)
    is_pending = any(int(mask, 16) >> (signal.SIGSTOP - 1) & 1 for mask in masks)
    return is_pending or re.search(r"^State:\s*[Tt]\b", text, re.MULTILINE) is not None


def wait_until_stopped(processes: Sequence[Process]) -> None:
    """Wait until they stand still; no longer than for any other end, because one may hang on a dead disk."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, IndexError, ValueError):
            if all(
                not is_running(process) or read_process(process[0])[0] in {"T", "t"} for process in processes
            ):
                return
        time.sleep(0.01)


def send_signal(process: Sequence[int], number: int) -> bool:
    """Send the signal to exactly this process; returns False if it is gone.

    Raises:
        Refusal: it belongs to another user.
    """
    pid = process[0]
    try:
        if hasattr(os, "pidfd_open"):  # since Python 3.9: the number cannot be reused in between
            descriptor = os.pidfd_open(pid)
            try:
                if not is_running(process):
                    return False
                signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)
        elif not is_running(process):
            return False
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise Refusal(f"process {pid} belongs to another user: it cannot be signalled") from error
    return True


def find_ancestors() -> list[int]:
    """This process, its parent and so on, without process 1."""
    found, pid = [], os.getpid()
    while pid > 1:
        found.append(pid)
        try:
            pid = read_process(pid)[1]
        except OSError:
            break
    return found


def find_listeners(port: int) -> list[int]:
    """The processes that listen on this TCP port and are visible to this user."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as file:
            for line in file.read().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return sorted(pid for pid in numbers if inodes and has_socket(pid, inodes))


def has_socket(pid: int, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") in inodes:
                    return True
    return False


def read_owner(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid
    return -1


def read_pid_file(path: str) -> int:
    """The process that the file names, if it was started before the file was written.

    Raises:
        Refusal: it is not a pid file, or its process is gone.
    """
    if not path.startswith("/"):
        raise Refusal(f"pidfile {path!r} is not an absolute path: it must begin with '/'")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            text = os.read(descriptor, 4096) if stat.S_ISREG(found.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Refusal(f"pidfile {path!r} cannot be read: {error.strerror}") from error
    match = re.match(rb"\s*([0-9]{1,10})\s*(?:\n|\Z)", text)
    if match is None or int(match[1]) == 0:
        raise Refusal(f"{path!r} is not a pid file: its first line must be the number of a process")
    pid = int(match[1])
    try:
        start = read_process(pid)[2]
    except OSError:
        raise Refusal(f"process {pid} of {path!r} is gone") from None
    started_at = time.time() - now() + start / os.sysconf("SC_CLK_TCK")
    if started_at > found.st_mtime + PID_FILE_SLACK:
        raise Refusal(
            f"the process that {path!r} named is gone: its number, {pid}, belongs to one that started later"
        )
    if found.st_uid not in {0, os.geteuid(), read_owner(pid)}:
        raise Refusal(f"{path!r} belongs to another user than process {pid}: it may name any process")
    return pid


def find_processes(arguments: Mapping[str, Any], own: str) -> list[Process]:
    """The processes that `pidfile` or `port` name.

    Raises:
        Refusal: there are none, or they must not be touched.
    """
    if "pidfile" in arguments:
        pids = [read_pid_file(get_text(arguments, "pidfile"))]
    else:
        port = get_port(arguments, "port")
        pids = find_listeners(port)
        if not pids:
            raise Refusal(f"no visible process listens on port {port}")
    return check_processes(pids, own)


def check_processes(pids: Sequence[int], own: str) -> list[Process]:
    """The processes with their start times.

    Raises:
        Refusal: one of them must not be touched.
    """
    if len(pids) > MAX_TARGETS:
        raise Refusal(f"these are {len(pids)} processes; a fault has at most {MAX_TARGETS}")
    ancestors = find_ancestors()
    found = []
    for pid in pids:
        if pid == 1:
            raise Refusal("process 1 is the system itself: it is never touched")
        if pid in ancestors or belongs_to_coordinator(pid, own):
            raise Refusal(
                f"process {pid} belongs to the coordinator or to its connection: it is never touched"
            )
        try:
            _, parent, start = read_process(pid)
        except OSError:
            continue
        if parent == 2 or pid == 2:  # noqa: PLR2004 - kthreadd
            raise Refusal(f"process {pid} belongs to the kernel: it is never touched")
        try:
            os.kill(pid, 0)
        except PermissionError as error:
            raise Refusal(f"process {pid} belongs to another user: it cannot be signalled") from error
        except ProcessLookupError:
            continue
        found.append((pid, start))
    if not found:
        raise Refusal("the process has just ended")
    return found


def belongs_to_coordinator(pid: int, own: str) -> bool:
    """Whether it is a guardian, or runs the coordinator in the directory `own`.

    The demo services there may be broken.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode("utf-8", "replace").split("\0")
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            name = file.read().strip()
        directory = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    if name == GUARDIAN_NAME or ("guard" in words and "--state" in words):
        return True
    if not own or "demo_service" in words:
        return False
    manage = os.path.join(own, "manage.py")
    if any(os.path.realpath(os.path.join(directory, word)) == manage for word in words if word):
        return True
    return directory == own and any(word.endswith(("gunicorn", "db_worker", "rqworker")) for word in words)


def identify(pid: int) -> Process:
    return pid, read_process(pid)[2]


def end_group(process: Sequence[int] | None) -> None:
    """End the process and the group that it leads."""
    if process is None or not is_running(process):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process[0], signal.SIGTERM)
    if not wait_for_end(process, END_SECONDS):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process[0], signal.SIGKILL)
        wait_for_end(process, 1.0)


def wait_for_end(process: Sequence[int], seconds: float, is_over: Callable[[], bool] = lambda: False) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(process) and not is_over():
        if time.monotonic() > deadline:
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process[0], os.WNOHANG)
        time.sleep(0.01)
    return True
