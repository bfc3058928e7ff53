"""What observers need from a request, in any framework."""

from collections.abc import Callable, Container
from typing import Any, NamedTuple, Protocol, Self

RequestLabel = Callable[[Any], object]
"""Tells the value of an extra label, from what the framework has of a request: one of a few, whatever is
asked for.
"""


class ObservedRequest(Protocol):
    """A request in progress; unless noted otherwise, values are available after its end."""

    method: str
    """One of HTTP's, or OTHER; from the beginning."""
    source: Any
    """What the framework has of it, and the functions of extra labels are given; from the beginning."""
    code: int
    seconds: float
    route: str
    """The name of what it matched, one of a few."""
    pattern: str
    """The template of its path; '' where it matched none."""
    exception: str
    """The type of the exception that nobody handled; '' for none."""
    traceparent: str | None
    """The header that says which trace it belongs to."""

    @property
    def scheme(self) -> str:
        """Available from the beginning."""
        ...

    def find_measurements(self, wanted: "Measurements") -> list[float | None]:
        """The wanted measurements, in the order of the fields of `Measurements`."""
        ...


class Measurements(NamedTuple):
    """What is measured of requests besides their duration, as far as it is wanted."""

    sizes: bool
    """Bytes of the bodies received and sent: two numbers; None where nobody knows."""
    first_byte: bool
    queries: bool
    """The number of database queries and their seconds together."""

    @classmethod
    def named(cls, details: Container[str]) -> Self:
        return cls(*[name in details for name in cls._fields])


class Observer(Protocol):
    """Records each request; each `begin` is followed by one `finish` or `cancel`."""

    def begin(self, measured: ObservedRequest, /) -> None: ...

    def finish(self, measured: ObservedRequest, /) -> None: ...

    def cancel(self, measured: ObservedRequest, /) -> None: ...


def parse_size(length: str | None, *, is_chunked: bool) -> float | None:
    """Bytes of a request's body by its header; a body without a length is empty unless it is chunked."""
    if is_chunked:
        return None
    if not length:
        return 0.0
    return float(length) if length.isascii() and length.isdigit() else None
