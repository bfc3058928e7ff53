"""Python's garbage collector, kept from looking through a growing tree again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postpone_collection() -> Iterator[None]:
    """Reading a document makes tens of thousands of objects and no garbage: without this, half the
    time goes into collections that find nothing. The documents' limits bound the memory.

    Several threads may be inside at once: the one that found the collector at work sets it to work again.
    """
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()
