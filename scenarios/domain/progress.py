"""Long work says that it goes on, so that nobody takes it for work that hangs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[], None] | None] = ContextVar("listener", default=None)


def note_progress() -> None:
    """Say that a part of the work is done; without effect where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener()


@contextmanager
def progress_noted_by(listener: Callable[[], None]) -> Iterator[None]:
    """Call the listener for the progress of this context, and of the threads that it hands work to."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
