"""Files that may change while the proxy runs."""

from pathlib import Path


def sign(path: str | Path) -> tuple[int, ...]:
    """Numbers that are others once the file is; empty where it is not there."""
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
