"""What the product needs from a metrics library for frequent recordings, with series looked up once.

Part of the port, which is in `metrics_app.ports`.
"""

from collections.abc import Sequence
from typing import Protocol

RequestKey = tuple[str, str, int]
"""The method, route and code of a request."""


class HttpHandler(Protocol):
    """Answers a scrape."""

    def __call__(self, accept: str = "", /) -> bytes:
        """The exposition, in the format that this `Accept` header asks for."""
        ...

    def content_type(self, accept: str = "", /) -> str:
        """The content type of the exposition for this `Accept` header."""
        ...


class RequestRecorder(Protocol):
    """The metrics of HTTP requests, bound once so that recording one costs no look-up by name.

    Each `begin` is followed by exactly one `finish` or `cancel` with the same method. `trace_id` is that of a
    sampled trace, in which a slow request can be examined. `ended` is when it ended by the clock
    `time.perf_counter`, if the caller knows, so that an adapter need not read the clock again.
    """

    def begin(self, method: str) -> None: ...

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str = "",
        ended: float | None = None,
    ) -> None: ...

    def cancel(self, method: str) -> None:
        """The request has ended and is not counted."""
        ...


class DetailedRecorder(Protocol):
    """The same with a value for each of some histograms; None records nothing."""

    def begin(self, method: str, /) -> None: ...

    def finish(
        self,
        request: RequestKey,
        seconds: float,
        trace_id: str,
        values: Sequence[float | None],
        ended: float | None = None,
        /,
    ) -> None:
        """Record a request.

        The values are floats, finite and not negative, which nobody checks here.
        """
        ...

    def cancel(self, method: str, /) -> None: ...


class BoundCounter(Protocol):
    """One counter with its labels, looked up once for frequent recordings."""

    def inc(self, amount: float = 1.0) -> None: ...


class BoundHistogram(Protocol):
    """One histogram with its labels, looked up once for frequent recordings."""

    def observe(self, value: float) -> None: ...


class BoundHistograms(Protocol):
    """Several histograms with their labels, looked up once, whose values are known at the same moment."""

    def observe(self, values: Sequence[float | None]) -> None:
        """Record a value to each, in the order in which they were bound; None records nothing.

        The values are floats, finite and not negative, which nobody checks here.
        """
        ...


class BoundGauge(Protocol):
    """One gauge with its labels, looked up once for frequent recordings."""

    def set(self, value: float) -> None: ...

    def move(self, amount: float) -> None:
        """Add an amount, which may be negative, to the value that this process has set; it begins with 0."""
        ...
