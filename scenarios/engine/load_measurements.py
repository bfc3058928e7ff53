"""What a load has measured so far: by phase, over the last seconds, and as a curve over the whole run."""

from collections.abc import Iterable, Mapping
from typing import Any

from scenarios.domain.durations import format_duration
from scenarios.domain.load_tally import Tally
from scenarios.domain.load_values import format_figure
from scenarios.domain.plan import MIN_SAMPLES, WINDOW_SECONDS, Load

# For requests that are due between two phases, while those of the first are awaited and its faults undone.
BETWEEN_PHASES = -1
MAX_LATENESS = 0.05
_MAX_LATENESS_SHARE = 0.1
MAX_CURVE_POINTS = 2_000
# Of what is stored while the run goes on: more cannot be told apart on its page.
MAX_POINTS_SO_FAR = 240
# Seconds after the last timeout until the figures of a second are final.
_SETTLED_AFTER = 2.0
Figures = dict[str, Any]


class Curve:
    """Points of [second, requests, errors, p95]: each of one second, of 2, 4 … where the run is long."""

    def __init__(self, limit: int = MAX_CURVE_POINTS) -> None:
        self.points: list[list[Any]] = []
        self._limit = limit
        self._step = 1

    def add(self, second: int, figures: Mapping[str, Any]) -> None:
        self._append([second, figures["requests"], figures["errors"], figures["p95"]])
        if len(self.points) > self._limit:
            self._step *= 2
            points, self.points = self.points, []
            for former in points:
                self._append(former)

    def _append(self, point: list[Any]) -> None:
        if self.points and point[0] < self.points[-1][0] + self._step:
            self.points[-1] = _join(self.points[-1], point)
        else:
            self.points.append(point)

    def copy(self) -> "Curve":
        other = Curve(self._limit)
        other.points, other._step = list(self.points), self._step
        return other


def _join(first: list[Any], other: list[Any]) -> list[Any]:
    """One point of both; of the latencies, the longer one is kept, so that no peak is lost."""
    latencies = [point[3] for point in (first, other) if point[3] is not None]
    return [first[0], first[1] + other[1], first[2] + other[2], max(latencies, default=None)]


class Measurements:
    """Of one load. `apply` takes the reports of its process (see `scenarios.load.sender`)."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.total = Tally()
        self.curve = Curve()
        self._curve_so_far = Curve(MAX_POINTS_SO_FAR)
        self._phases: dict[int, Tally] = {}
        self._seconds: dict[tuple[int, int], Tally] = {}
        self._now = 0.0
        self._phase = BETWEEN_PHASES

    def apply(self, report: Mapping[str, Any]) -> None:
        self._now, self._phase = report["now"], report["phase"]
        for second, phase, kept in report["tallies"]:
            tally = Tally.from_json(kept)
            self.total.merge(tally)
            self._phases.setdefault(phase, Tally()).merge(tally)
            self._seconds.setdefault((second, phase), Tally()).merge(tally)
        self._settle(self._now - max(self.load.timeout, WINDOW_SECONDS) - _SETTLED_AFTER)

    def finish(self) -> None:
        """Nothing is measured any more."""
        self._settle(self._now + 1)

    def _settle(self, before: float) -> None:
        for key in sorted(key for key in self._seconds if key[0] < before):
            figures = self.compute_figures(self._seconds.pop(key))
            self.curve.add(key[0], figures)
            self._curve_so_far.add(key[0], figures)

    def list_points_so_far(self) -> list[list[Any]]:
        """A short curve until now, with the last seconds as far as they are known."""
        curve = self._curve_so_far.copy()
        for key in sorted(key for key in self._seconds if key[0] < int(self._now)):
            curve.add(key[0], self.compute_figures(self._include_waiting(key[0], self._seconds[key])))
        return curve.points

    def is_settled(self, phase: int) -> bool:
        """Whether the phase is over, and what became of all its requests is known."""
        return self._phase != phase and not self.tally(phase).pending

    def tally(self, phase: int) -> Tally:
        return self._phases.get(phase, Tally())

    def join_phases(self, phases: Iterable[int]) -> Tally:
        joined = Tally()
        for phase in phases:
            joined.merge(self.tally(phase))
        return joined

    def read_window(self, phase: int) -> Tally | None:
        """The requests that were due in the last full seconds; None while the phase is younger than that.

        A request without an answer counts with the time that it has waited so far.
        """
        end = int(self._now)
        seconds = range(end - round(WINDOW_SECONDS), end)
        if self._phase != phase or (seconds[0], phase) not in self._seconds:
            return None
        joined = Tally()
        for second in seconds:
            joined.merge(self._include_waiting(second, self._seconds.get((second, phase), Tally())))
        return joined

    def _include_waiting(self, second: int, tally: Tally) -> Tally:
        """A copy, in which requests without an answer have taken the time that they have waited so far."""
        joined = Tally()
        joined.merge(tally)
        if tally.pending:
            joined.latency.add(self._now - (second + 1), tally.pending)
        return joined

    def compute_figures(self, tally: Tally) -> Figures:
        """The time of a tally is known by the number of requests that were due in it."""
        return tally.compute_figures((tally.sent + tally.unsent) / self.load.rate)

    def explain_lateness(self, phase: int) -> str:
        """Why the figures of the phase are not those of this rate; "" if they are."""
        tally = self.tally(phase)
        if tally.unsent:
            due = tally.sent + tally.unsent
            return (
                f"{tally.unsent} of {due} requests could not be sent, because too many were waiting for an "
                "answer; choose a shorter 'timeout' or a lower 'rate'"
            )
        judged = tally if tally.sent >= MIN_SAMPLES["p99"] else self.total
        limit = max(MAX_LATENESS, _MAX_LATENESS_SHARE / self.load.rate)
        figure, late = find_lateness(judged)
        if late <= limit:
            return ""
        return (
            f"the machine could not send {self.load.rate:g}/s: {figure} is "
            f"{format_figure('p99', late)}, more than {format_duration(limit)}"
        )


def find_lateness(tally: Tally) -> tuple[str, float]:
    """The name and the seconds of the lateness by which a machine is judged.

    Among few requests, p99 is the latest of all. One request that was late says nothing about a machine.
    """
    if tally.sent >= MIN_SAMPLES["p99"]:
        return "p99 of the lateness", tally.lateness.find_percentile(99) or 0.0
    share = 100 * max(0, tally.sent - 1) / max(1, tally.sent)
    late = tally.lateness.find_percentile(share) if share else None
    return "the second highest lateness", late or 0.0
