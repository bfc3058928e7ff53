"""The port at which `manage.py up` serves now, for commands beside it, which write links to pages."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "up.port"


@contextmanager
def kept(folder: Path, port: int) -> Iterator[None]:
    """Others find the port in this folder meanwhile."""
    file = folder / NAME
    file.write_text(f"{os.getpid()} {port}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def find(folder: Path) -> int | None:
    """None if nothing serves this folder; a process that was killed leaves its file behind."""
    try:
        pid, port = map(int, (folder / NAME).read_text().split())
        with suppress(PermissionError):  # somebody else's process
            os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return port
