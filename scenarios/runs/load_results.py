"""What the loads of a run measured, read from its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scenarios.domain.event_kinds import EventKind, Topic, find_kinds
from scenarios.models import Event
from scenarios.runs.history import RunHistory

LOAD_KINDS = find_kinds(Topic.LOAD)
FIGURES = ("requests", "errors", "error_rate", "rate", "p50", "p95", "p99", "max")
Figures = Mapping[str, Any]


@dataclass(slots=True)
class LoadResult:
    """`phases` are names with their figures. While the run goes on, only those of phases that are over.

    Latencies and `lateness_p99` are in seconds, `rate` is per second. `curve` has points of second, requests,
    errors and p95, in seconds since `began_at`; `kinds` counts the errors by kind.
    """

    name: str
    phases: list[tuple[str, Figures]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    baseline: Figures | None = None
    lateness_p99: float | None = None
    began_at: datetime | None = None
    curve: Sequence[Sequence[Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """As reports and the API show it."""
        return {
            "name": self.name,
            "phases": [{"phase": phase, **figures} for phase, figures in self.phases],
            "baseline": self.baseline,
            "lateness_p99": self.lateness_p99,
        }


def read_loads(history: RunHistory) -> list[LoadResult]:
    """The results of the run's loads, of its last attempt, in the order of the document."""
    if not history.has_loads:
        return []
    rows = Event.objects.filter(run=history.run, kind__in=[EventKind.RUN_STARTED, *LOAD_KINDS]).order_by(
        "sequence"
    )
    found: dict[str, LoadResult] = {}
    for kind, phase, name, detail in rows.values_list("kind", "phase", "subject", "detail"):
        if kind == EventKind.RUN_STARTED:
            found = {}
            continue
        result = found.setdefault(name, LoadResult(name))
        if kind == EventKind.LOAD_MEASURED:
            result.phases.append((phase, _pick_figures(detail)))
            for error, count in detail.get("kinds", {}).items():
                result.kinds[error] = result.kinds.get(error, 0) + count
        else:
            baseline, began_at = detail.get("baseline"), detail.get("began_at")
            result.baseline = _pick_figures(baseline) if baseline else None
            result.lateness_p99 = detail.get("lateness_p99")
            result.began_at = datetime.fromisoformat(began_at) if began_at else None
            result.curve = detail.get("curve", ())
    return list(found.values())


def _pick_figures(detail: Mapping[str, Any]) -> Figures:
    return {name: detail.get(name) for name in FIGURES}
