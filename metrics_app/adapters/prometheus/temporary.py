"""The directory of an adapter that was made without one."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def make_temporary_directory() -> Path:
    """A directory that is removed at the end of this process."""
    path = Path(tempfile.mkdtemp(prefix="metrics-"))
    owner = os.getpid()

    def remove() -> None:
        # A forked child also gets here at its end, but the directory belongs to its parent.
        if os.getpid() == owner:
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    return path
