"""What the loads of a run measured, read from its events and, while it goes on, from their progress."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db.models import Count, Sum

from scenarios.domain.event_kinds import EventKind, Topic, find_kinds
from scenarios.domain.outcomes import Outcome
from scenarios.models import Event, LoadProgress, Run
from scenarios.runs.history import RunHistory

LOAD_KINDS = find_kinds(Topic.LOAD)
FIGURES = ("requests", "errors", "error_rate", "rate", "p50", "p95", "p99", "max")
Figures = Mapping[str, Any]


@dataclass(slots=True)
class LoadResult:
    """`phases` are names with their figures. While the run goes on, only those of phases that are over;
    `present` has the one that goes on. `slowest_traces` has the id of the trace of the slowest request, by
    phase, and `error_traces` that of the first request with each kind of error.

    Latencies and `lateness_p99` are in seconds, `rate` is per second. `curve` has points of second, requests,
    errors and p95, in seconds since `began_at`; `kinds` counts the errors by kind.
    """

    name: str
    phases: list[tuple[str, Figures]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    slowest_traces: dict[str, str] = field(default_factory=dict)
    error_traces: dict[str, str] = field(default_factory=dict)
    baseline: Figures | None = None
    lateness_p99: float | None = None
    began_at: datetime | None = None
    curve: Sequence[Sequence[Any]] = ()
    present: tuple[str, Figures] | None = None

    def to_json(self) -> dict[str, Any]:
        """As reports and the API show it."""
        return {
            "name": self.name,
            "phases": [{"phase": phase, **figures} for phase, figures in self.phases],
            "baseline": self.baseline,
            "lateness_p99": self.lateness_p99,
        }


def find_middles(seconds: Sequence[float]) -> list[float]:
    """The middle of each point of a curve, given where each begins: a picture shows a peak where it was,
    and not before what caused it.
    """
    length = min((later - earlier for earlier, later in pairwise(seconds)), default=1.0)
    return [second + length / 2 for second in seconds]


def read_loads(history: RunHistory) -> list[LoadResult]:
    """The results of the run's loads, of its last attempt, in the order of the document."""
    rows_so_far = _read_progress(history)
    if not history.has_loads and not rows_so_far:
        return []
    rows = Event.objects.filter(run=history.run, kind__in=[EventKind.RUN_STARTED, *LOAD_KINDS]).order_by(
        "sequence"
    )
    found: dict[str, LoadResult] = {}
    finished: set[str] = set()
    for kind, phase, name, detail in rows.values_list("kind", "phase", "subject", "detail"):
        if kind == EventKind.RUN_STARTED:
            found, finished = {}, set()
            continue
        result = found.setdefault(name, LoadResult(name))
        if kind == EventKind.LOAD_MEASURED:
            result.phases.append((phase, _pick_figures(detail)))
            for error, count in detail.get("kinds", {}).items():
                result.kinds[error] = result.kinds.get(error, 0) + count
            result.slowest_traces[phase] = detail.get("slowest_trace", "")
            result.error_traces = {**detail.get("error_traces", {}), **result.error_traces}
        else:
            finished.add(name)
            baseline, began_at = detail.get("baseline"), detail.get("began_at")
            result.baseline = _pick_figures(baseline) if baseline else None
            result.lateness_p99 = detail.get("lateness_p99")
            result.began_at = datetime.fromisoformat(began_at) if began_at else None
            result.curve = detail.get("curve", ())
    for content in rows_so_far:
        if content["name"] not in finished:
            _add_progress(found.setdefault(content["name"], LoadResult(content["name"])), content)
    return list(found.values())


def find_progress_version(run: Run) -> str:
    """A text that differs when what the loads of a run have measured so far does."""
    sums = LoadProgress.objects.filter(run=run).aggregate(rows=Count("id"), version=Sum("version"))
    return f"{sums['rows']}-{sums['version'] or 0}"


def _read_progress(history: RunHistory) -> list[dict[str, Any]]:
    """Of loads that are being sent, or were when their worker was killed."""
    run = history.run
    if run.outcome and run.outcome != Outcome.INTERRUPTED:
        return []
    rows = LoadProgress.objects.filter(run=run, attempt=run.attempt).order_by("number")
    return [json.loads(content) for content in rows.values_list("content", flat=True)]


def _add_progress(result: LoadResult, content: Mapping[str, Any]) -> None:
    if content["phase"]:
        result.present = content["phase"], _pick_figures(content["figures"])
    result.began_at = datetime.fromisoformat(content["began_at"])
    result.curve = content["curve"]


def _pick_figures(detail: Mapping[str, Any]) -> Figures:
    return {name: detail.get(name) for name in FIGURES}
