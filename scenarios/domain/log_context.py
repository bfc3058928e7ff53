"""The fields that every log line of a request or a run carries, and the secrets that none may show.

Uses only the standard library: code that logs does not know how lines are written.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from scenarios.domain.redaction import Redactor

_bound: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - never changed

# Shared by this process: the secrets it learns are redacted in all log lines.
redactor = Redactor()


def bound() -> Mapping[str, str]:
    return _bound.get()


def begin(**words: str) -> None:
    """Replace the fields: the thread may still have those of the previous request.

    They stay after the end of the request, because the server logs after it.
    """
    _bound.set(words)


@contextmanager
def binding(**words: str) -> Iterator[None]:
    """Add these fields to log lines written inside, also by tasks and threads started there."""
    token = _bound.set({**_bound.get(), **words})
    try:
        yield
    finally:
        _bound.reset(token)
