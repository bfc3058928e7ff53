"""Claims runs whose charts are due, and stores what was read.

A conditional UPDATE lets one of several watchdogs claim a row. If that watchdog dies, the row is due again
when the claim expires; what a slow one stores after that is dropped.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q

from scenarios.charts.kept import Charts, with_earlier
from scenarios.charts.reading import get_settle_time
from scenarios.charts.window import next_reading
from scenarios.domain.outcomes import RunState
from scenarios.models import Run, RunCharts

TAKEN_FOR = timedelta(seconds=60)
MAX_TRIED = 10


@dataclass(frozen=True, slots=True)
class Taken:
    """The right to store a run's charts until that time."""

    run: Run
    until: datetime


def take_due(now: datetime) -> Taken | None:
    """Claim the run whose charts have waited longest; None if none are due."""
    free = Q(taken_until__isnull=True) | Q(taken_until__lte=now)
    due = (
        RunCharts.objects.filter(free, due_at__isnull=False)
        .exclude(run__state=RunState.QUEUED)
        # The end of a run makes its charts due at once.
        .filter(Q(due_at__lte=now) | Q(run__state=RunState.FINISHED, saw_end=False))
        .order_by("due_at")
    )
    until = now + TAKEN_FOR
    for run_id, version in due.values_list("run", "version")[:MAX_TRIED]:
        # A process that has read it since has incremented its version.
        if RunCharts.objects.filter(free, run=run_id, version=version).update(taken_until=until) == 1:
            return Taken(Run.objects.get(id=run_id), until)
    return None


def keep(taken: Taken, charts: Charts, now: datetime) -> bool:
    """Store what was read at `now`. False if another process has claimed the run, or it was deleted."""
    held = RunCharts.objects.filter(run=taken.run.id, taken_until=taken.until)
    row = held.first()
    if row is None:
        return False
    kept = with_earlier(charts, Charts.model_validate(row.content))
    changes = {
        "content": kept.model_dump(mode="json", exclude_defaults=True),
        "version": F("version") + 1,
        "read_at": now,
        "due_at": _next(taken.run, charts, now),
        "taken_until": None,
        "saw_end": taken.run.finished_at is not None,
    }
    return held.update(**changes) == 1


def let_go(taken: Taken, now: datetime) -> None:
    """Release the claim after a failed reading."""
    held = RunCharts.objects.filter(run=taken.run.id, taken_until=taken.until)
    due_at = _next(taken.run, None, now)
    held.update(due_at=due_at, taken_until=None, saw_end=taken.run.finished_at is not None)


def _next(run: Run, charts: Charts | None, now: datetime) -> datetime | None:
    if run.claimed_at is None:
        return None  # it ended without starting
    if charts is not None and not charts.charts:
        # There is no query yet; a service may get one while the run goes on.
        return None if run.finished_at else now + TAKEN_FOR
    complete = charts is not None and not any(chart.problem for chart in charts.charts)
    return next_reading(run.claimed_at, run.finished_at, now, settle=get_settle_time(), complete=complete)
