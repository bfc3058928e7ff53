"""File descriptors of a process in which other code may close all of them, for example to become a daemon.

Their numbers may then belong to other files, which must not be read, written or closed here.
"""

import os
from typing import IO, Any, NamedTuple


class Identity(NamedTuple):
    device: int
    number: int


def identify(descriptor: int) -> Identity | None:
    """The identity of the open file; None if it is closed."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino)


class KeptDescriptor:
    def __init__(self, number: int) -> None:
        self.number = number
        self.identity = identify(number)

    def is_lost(self) -> bool:
        try:
            status = os.fstat(self.number)
        except OSError:
            return self.identity is not None
        return (status.st_dev, status.st_ino) != self.identity

    def close(self) -> None:
        if not self.is_lost():
            os.close(self.number)


_lost: list[object] = []


def keep(*objects: object) -> None:
    """Keep objects for ever, because they would close another file, as a map does, when they are freed."""
    _lost.extend(objects)


def close_file(file: IO[Any], identity: Identity | None) -> None:
    """Close it if it is still the one that was opened."""
    if identify(file.fileno()) == identity:
        file.close()
    else:
        keep(file)
