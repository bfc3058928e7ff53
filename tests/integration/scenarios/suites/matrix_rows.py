"""Suites whose cells have been proved, for tests."""

from datetime import timedelta

from django.utils import timezone

from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.domain.suite_states import CellState
from scenarios.models import Run, Suite


def prove(suite: Suite, fault: str, state: CellState, *, days_ago: int = 0, reason: str = "") -> Run:
    """As if a run had shown this so many days ago, with proofs that are fresh for 30 days."""
    at = timezone.now() - timedelta(days=days_ago)
    run = Run.objects.create(
        scenario_name="dependency-slow",
        document="",
        started_from="cli",
        state=RunState.FINISHED,
        outcome=Outcome.PASSED,
        rollback=Rollback.CLEAN,
        finished_at=at,
    )
    suite.cells.filter(fault=fault).update(
        state=state, run=run, proved_at=at, fresh_until=at + timedelta(days=30), reason=reason
    )
    return run
