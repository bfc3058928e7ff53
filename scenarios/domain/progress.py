"""Long work reports progress, so that it is not mistaken for work that hangs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[], None] | None] = ContextVar("listener", default=None)


def note_progress() -> None:
    """Report that a part of the work is done; without effect if nothing listens."""
    listener = _listener.get()
    if listener is not None:
        listener()


@contextmanager
def progress_noted_by(listener: Callable[[], None]) -> Iterator[None]:
    """Call the listener for progress in this context, and in the threads that it passes work to."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
