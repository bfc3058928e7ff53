"""Descriptors that are kept, in a process in which somebody may close all of them: to become a daemon does.

Their numbers may be another file's afterwards, which must be neither read, written nor closed here.
"""

import os
from typing import IO, Any, NamedTuple


class Identity(NamedTuple):
    device: int
    number: int


def identify(descriptor: int) -> Identity | None:
    """Which file this is; None if it is closed."""
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
        return identify(self.number) != self.identity

    def close(self) -> None:
        if not self.is_lost():
            os.close(self.number)


_lost: list[object] = []


def keep(*objects: object) -> None:
    """Have objects stay for ever: they would close another file, as a map does, when they are let go of."""
    _lost.extend(objects)


def close_file(file: IO[Any], identity: Identity | None) -> None:
    """Close it if it is still the one that was opened."""
    if identify(file.fileno()) == identity:
        file.close()
    else:
        keep(file)
