"""Runs one command, and then ends all processes that it has started, unless they should stay.

Run as `python -I -S keeper.py SOCKET WHAT COMMAND…`, where WHAT is `end` or `keep`. The socket leads to the
coordinator. When its other end is closed (by a stop, a timeout, or kill -9 of the coordinator), the command
is killed, with all processes that it has started, even if they have left its process group by setsid: the
keeper is their subreaper, so that orphaned processes become its children.
https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html

With `keep`, the command gets its own session and no output, so that the processes it starts do not depend on
the step. When it has ended, the coordinator sends KEEP if they should stay.

It imports little in order to start in 10 ms; therefore it uses neither contextlib nor pathlib.
"""

import _thread
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36
KEEP = b"keep"
# A shell's `kill 0` reaches its whole process group, including the keeper.
NOT_FOR_THE_KEEPER = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
# Python ignores these signals, and a new program inherits that.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def keep(socket: int, what: str, command: list[str]) -> None:
    os.set_inheritable(socket, False)
    for number in NOT_FOR_THE_KEEPER:
        signal.signal(number, signal.SIG_IGN)
    try:
        become_subreaper()
        pid = spawn(command, detached=what == "keep")
    except OSError as error:
        os.write(socket, f"unstarted {error.errno}".encode())
        return
    for stream in (0, 1, 2):
        os.close(stream)  # the pipes end when the command's end
    answered = _thread.allocate_lock()
    answered.acquire()
    received: list[bytes] = []
    # With a descriptor, because the number may be reused.
    _thread.start_new_thread(end_with, (socket, os.pidfd_open(pid), received, answered))
    while (ended := os.waitpid(-1, 0))[0] != pid:
        pass  # an orphaned child of the command
    try:  # noqa: SIM105
        os.write(socket, f"ended {os.waitstatus_to_exitcode(ended[1])}".encode())
    except OSError:
        pass  # the coordinator has closed its end
    if what == "keep":
        answered.acquire()
        if received == [KEEP]:
            return  # the remaining processes become children of init
    kill_descendants()


def spawn(command: list[str], *, detached: bool) -> int:
    """Start the command; if it is detached, with its own session and without output."""
    defaults = [*NOT_FOR_THE_KEEPER, *IGNORED_BY_PYTHON]
    if not detached:
        return os.posix_spawn(command[0], command, os.environ, setsigdef=defaults)
    no_output = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_WRONLY, 0) for number in (1, 2)]
    return os.posix_spawn(
        command[0], command, os.environ, file_actions=no_output, setsid=True, setsigdef=defaults
    )


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def end_with(socket: int, command: int, received: list[bytes], answered: _thread.LockType) -> None:
    received.append(os.read(socket, len(KEEP)))
    answered.release()
    try:  # noqa: SIM105
        signal.pidfd_send_signal(command, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has already ended


def kill_descendants() -> None:
    """Kill all children, and their children, which become children of this process, as far as permitted."""
    while killed := [pid for pid in children() if kill(pid)]:
        for _ in killed:
            os.waitpid(-1, 0)


def children() -> Iterator[int]:
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208
        try:
            with open(f"/proc/self/task/{thread}/children") as file:  # noqa: PTH123
                yield from map(int, file.read().split())
        except OSError:
            continue  # the thread has ended


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False  # another user's process, for example after sudo
    return True


if __name__ == "__main__":
    try:
        keep(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    finally:
        os._exit(0)  # the thread may still be reading
