"""How a load's requests ended, and the figures that a verdict compares."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.domain.latencies import Histogram

PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0}
_MAX_KINDS = 4


@dataclass(slots=True)
class Tally:
    """The requests that were due in some time.

    `sent` of them were sent and `answered` of those are decided, by an answer or an error; `unsent` could not
    be sent. `errors` counts the kinds of errors. `latency` has what was answered, whatever the status, and
    what timed out, from the moment when the request was due. `lateness`: from then until it was sent.
    `slowest_trace` is the id of the trace of the request that took longest, and `error_traces` has that of
    the first request with each kind of error; both stay empty where requests have no trace.
    """

    sent: int = 0
    unsent: int = 0
    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    slowest_trace: str = ""
    error_traces: dict[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return self.sent - self.answered

    def note_answer(self, error: str, latency: float | None, trace_id: str = "") -> None:
        """Count a request that was answered, or failed; `latency` is in seconds from when it was due."""
        self.answered += 1
        if error:
            self.errors[error] += 1
            if trace_id:
                self.error_traces.setdefault(error, trace_id)
        if latency is not None:
            if latency > self.latency.max:
                self.slowest_trace = trace_id
            self.latency.add(latency)

    def merge(self, other: "Tally") -> None:
        self.sent += other.sent
        self.unsent += other.unsent
        self.answered += other.answered
        self.errors.update(other.errors)
        if other.latency.max > self.latency.max:
            self.slowest_trace = other.slowest_trace
        self.error_traces = {**other.error_traces, **self.error_traces}
        self.latency.merge(other.latency)
        self.lateness.merge(other.lateness)

    def to_json(self) -> dict[str, Any]:
        return {
            "sent": self.sent,
            "unsent": self.unsent,
            "answered": self.answered,
            "errors": dict(self.errors),
            "latency": self.latency.to_json(),
            "lateness": self.lateness.to_json(),
            "slowest_trace": self.slowest_trace,
            "error_traces": self.error_traces,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Tally":
        return cls(
            kept["sent"],
            kept["unsent"],
            kept["answered"],
            Counter(kept["errors"]),
            Histogram.from_json(kept["latency"]),
            Histogram.from_json(kept["lateness"]),
            kept["slowest_trace"],
            kept["error_traces"],
        )

    def compute_figures(self, seconds: float) -> dict[str, Any]:
        """The figures of a period of this length: latencies in seconds, shares, and answers per second.

        `rate` counts requests without an error. A figure is None if no request gives it.
        """
        failed = self.errors.total()
        latencies = {name: self.latency.find_percentile(percent) for name, percent in PERCENTILES.items()}
        return {
            "requests": self.answered,
            "errors": failed,
            "error_rate": failed / self.answered if self.answered else None,
            "rate": (self.answered - failed) / seconds if seconds > 0 else None,
            **latencies,
            "max": self.latency.max if self.latency.count else None,
        }

    def describe_errors(self) -> str:
        """As "21 of 500 requests: 20 × status 503, 1 × timeout"."""
        kinds = ", ".join(f"{count} × {kind}" for kind, count in self.errors.most_common(_MAX_KINDS))
        return f"{self.errors.total()} of {self.answered} requests{f': {kinds}' if kinds else ''}"
