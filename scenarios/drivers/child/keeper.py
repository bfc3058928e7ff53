"""Runs one command, and ends with it everything that it has started, unless that is to stay.

Run as `python -I -S keeper.py SOCKET WHAT COMMAND…`, where WHAT is `end` or `keep`. The socket leads to
the coordinator: when that end is closed, whatever closed it (a stop, a timeout, the kill -9 of the
coordinator), the command is killed. Then everything it has started dies too, also what has left its process
group by setsid: the keeper is the subreaper of it all, so that whoever loses its parent becomes the keeper's
own child.
https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html

With `keep` the command gets a session of its own and no output, so that nothing it starts depends on the
step. Once it has ended, the coordinator says by the word KEEP that what it has started stays.

It imports little, and so starts in 10 ms: hence neither contextlib nor pathlib.
"""

import _thread
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36
KEEP = b"keep"
# A shell's `kill 0` reaches its whole process group, in which the keeper is.
NOT_FOR_THE_KEEPER = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
# Python ignores these, and what is ignored stays so in a new program.
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
        os.close(stream)  # they end when the command's end
    answered = _thread.allocate_lock()
    answered.acquire()
    said: list[bytes] = []
    # By its descriptor: the number may be another's by then.
    _thread.start_new_thread(end_with, (socket, os.pidfd_open(pid), said, answered))
    while (ended := os.waitpid(-1, 0))[0] != pid:
        pass  # an orphan of the command's
    try:  # noqa: SIM105
        os.write(socket, f"ended {os.waitstatus_to_exitcode(ended[1])}".encode())
    except OSError:
        pass  # nobody listens any more
    if what == "keep":
        answered.acquire()
        if said == [KEEP]:
            return  # whoever is left becomes a child of init
    kill_descendants()


def spawn(command: list[str], *, detached: bool) -> int:
    """The command's process; a detached one has a session of its own, and says what it says to nobody."""
    given = [*NOT_FOR_THE_KEEPER, *IGNORED_BY_PYTHON]
    if not detached:
        return os.posix_spawn(command[0], command, os.environ, setsigdef=given)
    nowhere = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_WRONLY, 0) for number in (1, 2)]
    return os.posix_spawn(command[0], command, os.environ, file_actions=nowhere, setsid=True, setsigdef=given)


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def end_with(socket: int, command: int, said: list[bytes], answered: _thread.LockType) -> None:
    said.append(os.read(socket, len(KEEP)))
    answered.release()
    try:  # noqa: SIM105
        signal.pidfd_send_signal(command, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended by itself


def kill_descendants() -> None:
    """Kills the children, whose own then become children, until there is none, or none that may be killed."""
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
        return False  # another user's, as after sudo
    return True


if __name__ == "__main__":
    try:
        keep(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    finally:
        os._exit(0)  # the thread may still be listening
