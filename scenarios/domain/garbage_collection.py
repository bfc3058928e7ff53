"""Pausing Python's garbage collector while a large tree is built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postpone_collection() -> Iterator[None]:
    """Disable the collector inside the block.

    Reading a document creates tens of thousands of objects and no garbage; otherwise half of the time goes
    into collections that find nothing. The limits of documents bound the memory. Several threads may be
    inside at once: the one that found the collector enabled enables it again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
