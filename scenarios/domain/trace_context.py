"""The trace of a run: its id is the run's, and each span's id follows from what the span is about.

So a step can name its span to its target (`traceparent`) long before the span itself is sent, and a span that
is sent twice has the same id. https://www.w3.org/TR/trace-context/#traceparent-header
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from uuid import UUID

# Every run is sampled.
_VERSION, _FLAGS = "00", "01"


@dataclass(frozen=True, slots=True)
class _Place:
    """The run, and the path of the span in which this context is."""

    run_id: UUID
    attempt: int
    path: tuple[str, ...]


_place: ContextVar[_Place | None] = ContextVar("trace_context", default=None)


def build_span_id(run_id: UUID, *path: str) -> str:
    """16 hexadecimal digits, the same for the same path in the same run."""
    text = "\0".join((run_id.hex, *path))
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


@contextmanager
def tracing_run(run_id: UUID, attempt: int) -> Iterator[None]:
    """Steps inside belong to this attempt of the run."""
    with _at(_Place(run_id, attempt, ("run",))):
        yield


@contextmanager
def in_attempt(*path: str) -> Iterator[None]:
    """Steps inside belong to the span of this path, which each attempt of a run has for itself."""
    place = _place.get()
    with _at(place and replace(place, path=(str(place.attempt), *path))):
        yield


@contextmanager
def in_fault(order: int) -> Iterator[None]:
    """Steps inside belong to the span of this fault, whichever attempt undoes it."""
    place = _place.get()
    with _at(place and replace(place, path=("fault", str(order)))):
        yield


@contextmanager
def in_look(began: float) -> Iterator[None]:
    """Steps inside belong to the look that began then (Unix seconds), within the span of its validation."""
    place = _place.get()
    with _at(place and replace(place, path=(*place.path, "look", format_moment(began)))):
        yield


@contextmanager
def _at(place: _Place | None) -> Iterator[None]:
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def format_moment(at: float) -> str:
    """In milliseconds, because looks are stored so."""
    return str(round(at * 1000))


def build_traceparent() -> str | None:
    """The value of the header for a request that is sent now; None outside a run."""
    place = _place.get()
    if place is None:
        return None
    return f"{_VERSION}-{place.run_id.hex}-{build_span_id(place.run_id, *place.path)}-{_FLAGS}"
