"""What every log line of a request or a run carries beside its words, and what none may show.

Standard library alone: whoever logs knows nothing of how lines are written.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from scenarios.domain.redaction import Redactor

_bound: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - never changed

# Of this process: what is learned here is struck out of all its lines.
redactor = Redactor()


def bound() -> Mapping[str, str]:
    return _bound.get()


def begin(**words: str) -> None:
    """These words and no others, from now on: a thread has the next request after this one.

    They are not taken back at the request's end, for the server logs after it.
    """
    _bound.set(words)


@contextmanager
def binding(**words: str) -> Iterator[None]:
    """These words, too, for what is logged inside, in tasks and threads that are begun there."""
    token = _bound.set({**_bound.get(), **words})
    try:
        yield
    finally:
        _bound.reset(token)
