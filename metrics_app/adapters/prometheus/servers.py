"""Which server a process belongs to, and whether that server still runs.

This matters only if no process holds the directory any more: a server with one worker has none for a moment
while it replaces it, which is not a new start.
"""

import os
from pathlib import Path

GONE = "gone"
MAX_RECORD = 4096
"""Bytes that the servers of one slot take at most."""


def describe_server() -> str:
    """What identifies the processes of one server: their process group, which outlives each of them.

    It includes its leader's start time, because ids are reused. With gunicorn the leader is the master; after
    USR2 the new master is in the old one's group, which goes on without its leader. An id is meaningful only
    in its own pid namespace.
    """
    # 0: the leader is in another pid namespace.
    server = os.getpgrp() or os.getppid() or os.getpid()
    return f"{server} {_start(server)} {_pid_namespace()} {_boot()}"


def add_server(recorded: str) -> str:
    """The record of a slot's servers with this one, and without those that have ended."""
    own = describe_server()
    others = [line for line in recorded.splitlines() if line != own and is_alive(line)]
    lines = [own, *others]
    while len(text := "\n".join(lines)) > MAX_RECORD:
        lines.pop()
    return text


def is_alive(server: str) -> bool:
    """Whether a server that can be seen from here runs. The first version wrote no namespace."""
    group, *started = server.split() or [""]
    namespaces = [_pid_namespace()] if len(started) > 2 else []  # noqa: PLR2004 - as written above
    if started[1:] != [*namespaces, _boot()] or not group.isdecimal():
        return False
    start = _start(int(group))
    if start != GONE:
        # A process that has got the id since then is another one: ids of live groups are not reused.
        return started[0] == start
    try:
        os.killpg(int(group), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def is_from_first_version(recorded: str) -> bool:
    """Whether the first version, whose files had other names, recorded this."""
    return len(recorded.partition("\n")[0].split()) == 3  # noqa: PLR2004 - without the namespace


def _start(pid: int) -> str:
    """When a process started, in ticks since the kernel did; GONE when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return GONE
    return GONE if fields[0] == "Z" else fields[19]


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "this"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "this"
