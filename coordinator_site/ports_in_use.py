"""Free ports, and the process that uses a port. Only Linux's /proc shows the process."""

import socket
from pathlib import Path

LISTEN = "0A"
CONNECT_SECONDS = 1.0


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        # As servers do, so that a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
    # No process here has the port, but the kernel may forward it to a container.
    with socket.socket() as caller:
        caller.settimeout(CONNECT_SECONDS)
        return caller.connect_ex((host, port)) != 0


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def find_holder(port: int) -> str:
    """The process that listens on the port, as `gunicorn (process 4711)`, or "" if it is unknown."""
    inodes = listening_inodes(port)
    for folder in Path("/proc").glob("[0-9]*"):
        if inodes & socket_inodes(folder):
            try:
                command = (folder / "comm").read_text().strip()
            except OSError:
                continue
            return f"{command} (process {folder.name})"
    return ""


def listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _number, local, _remote, state, *rest = line.split()
            if state == LISTEN and int(local.rsplit(":", 1)[1], 16) == port:
                inodes.add(rest[5])
    return inodes


def socket_inodes(process: Path) -> set[str]:
    try:
        links = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
    except OSError:  # another user's process, or one that just ended
        return set()
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
