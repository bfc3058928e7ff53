"""What one test has made at length, and others of the same run need: the processes of the run share it."""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# Where the processes of one test run keep their copies; set by tests/conftest.py.
SHARED_FOLDER = "COPIES_OF_TESTS"


@cache
def find_folder() -> Path:
    if shared := os.environ.get(SHARED_FOLDER):
        return Path(shared)
    folder = tempfile.mkdtemp(prefix="coordinator-copies-")
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


@contextmanager
def locked(kept: Path) -> Iterator[None]:
    """Another process that needs the same waits for it instead of making it too."""
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
