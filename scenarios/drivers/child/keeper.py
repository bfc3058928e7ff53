"""Leads the process group of one command, and ends the group whole.

Run as `python -I -S keeper.py SOCKET COMMAND…`. The socket leads to the coordinator: when that end is
closed, whatever closed it (a stop, a timeout, the kill -9 of the coordinator), everything in the group
dies. The keeper outlives the command, so that the group's number cannot be another's meanwhile.

It imports nothing but what is loaded anyway, and so starts in 10 ms.
"""

import _thread
import os
import sys

SIGKILL, SIGPIPE, SIGXFSZ = 9, 13, 25


def keep(socket: int, command: list[str]) -> None:
    os.set_inheritable(socket, False)
    try:
        # Python ignores these two, and what is ignored stays so in a new program.
        pid = os.posix_spawn(command[0], command, os.environ, setsigdef=[SIGPIPE, SIGXFSZ])
    except OSError as error:
        os.write(socket, f"unstarted {error.errno}".encode())
        return
    for stream in (0, 1, 2):
        os.close(stream)  # they end when the command's end
    _thread.start_new_thread(end_with, (socket,))
    _, status = os.waitpid(pid, 0)
    os.write(socket, f"ended {os.waitstatus_to_exitcode(status)}".encode())


def end_with(socket: int) -> None:
    try:
        os.read(socket, 1)
    finally:
        os.killpg(0, SIGKILL)


if __name__ == "__main__":
    try:
        keep(int(sys.argv[1]), sys.argv[2:])
    finally:
        os.killpg(0, SIGKILL)
