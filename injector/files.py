"""Files that may change while the proxy runs."""

from pathlib import Path


def sign(path: str | Path) -> tuple[int, ...]:
    """Numbers that change when the file does; empty if there is no file."""
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
