"""Which services keep metrics in the directory. It should be one, because a scrape shows all as one service.

A service is recorded when one of its processes first records. A process that is alone in the directory
empties it, including this file.
"""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from metrics_app.adapters.prometheus.folder import OWNERS_FILE, open_own

MAX_BYTES = 1 << 16
"""More than so much of the file is not read: it is not the adapter's."""


def note_owner(directory: Path, owner: str) -> list[str]:
    """Record the service if it is not there yet; return the others if it was new.

    Raises:
        OSError: the file cannot be read or written.
    """
    descriptor = open_own(directory / OWNERS_FILE, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        known = _parse(os.pread(descriptor, MAX_BYTES, 0))
        if owner in known:
            return []
        # Two processes may append the same line at once, which is harmless.
        os.write(descriptor, json.dumps(owner).encode() + b"\n")
    finally:
        os.close(descriptor)
    return known


def find_other_owners(directory: Path, owner: str) -> list[str]:
    """The services besides this one that have recorded since the directory was emptied."""
    with suppress(OSError):
        path = directory / OWNERS_FILE
        if stat.S_ISREG(path.lstat().st_mode):
            with path.open("rb") as file:
                return [other for other in _parse(file.read(MAX_BYTES)) if other != owner]
    return []


def _parse(content: bytes) -> list[str]:
    """Each service once. A line that was cut off, for example by a full disk, is left out."""
    found: dict[str, None] = {}
    for line in content.decode(errors="replace").splitlines():
        with suppress(ValueError, RecursionError):
            owner = json.loads(line)
            if isinstance(owner, str):
                found[owner] = None
    return list(found)
