"""What an ended run has shown about its cell."""

from dataclasses import dataclass

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.domain.sizes import format_share
from scenarios.domain.suite_states import TriedState
from scenarios.models import Event, Fault, Run
from scenarios.suites.composition import MAY_FAIL
from scenarios.suites.words import Dependency

# The share of requests during a fault; users do not notice fewer failures, as with `must: survive`.
NOTICED_ERROR_RATE = 0.001


@dataclass(frozen=True, slots=True)
class CellVerdict:
    state: TriedState
    reason: str = ""


def judge_run(run: Run, dependency: Dependency) -> CellVerdict:
    """What the run has shown. It proves nothing if no fault was there, or if it did not finish."""
    was_broken = Fault.objects.filter(run=run, injected_at__isnull=False).exists()
    if run.rollback == Rollback.DIRTY:
        return CellVerdict(TriedState.ERRORED, f"the fault is still injected: {run.reason}")
    if run.outcome == Outcome.PASSED:
        noticed = find_notice(run) if dependency.must == "fail" else ""
        return CellVerdict(TriedState.DEGRADED if noticed else TriedState.SURVIVED, noticed)
    if run.outcome == Outcome.FAILED:
        return _judge_failed_run(run, dependency, was_broken=was_broken)
    if run.outcome == Outcome.ERRORED and not was_broken:
        return CellVerdict(TriedState.SKIPPED, f"it could not be injected: {run.reason}")
    return CellVerdict(TriedState.ERRORED, f"{run.outcome}: {run.reason}")


def _judge_failed_run(run: Run, dependency: Dependency, *, was_broken: bool) -> CellVerdict:
    if not was_broken:
        return CellVerdict(TriedState.ERRORED, f"not healthy before the fault: {run.reason}")
    if dependency.must == "fail" and only_users_noticed(run):
        # No answer came in time even before the fault, as on a busy machine.
        return CellVerdict(TriedState.DEGRADED, find_notice(run))
    return CellVerdict(TriedState.FAILED, run.reason)


def only_users_noticed(run: Run) -> bool:
    """Whether nothing failed but what may fail."""
    failed = Event.objects.filter(run=run, kind__in=(EventKind.VALIDATION_FAILED, EventKind.ACTION_FAILED))
    return set(failed.values_list("subject", flat=True)) == {MAY_FAIL}


def find_notice(run: Run) -> str:
    """What users noticed while a fault was there; "" if nothing."""
    events = Event.objects.filter(run=run).order_by("sequence")
    looks = events.filter(kind=EventKind.VALIDATION_NOT_HOLDING, subject=MAY_FAIL)
    if (detail := looks.values_list("detail", flat=True).first()) is not None:
        return f"users noticed: {detail.get('reason') or 'not healthy'}"
    phases = list(Fault.objects.filter(run=run).values_list("phase", flat=True))
    measured = events.filter(kind=EventKind.LOAD_MEASURED, phase__in=phases)
    rates = [detail.get("error_rate") or 0.0 for detail in measured.values_list("detail", flat=True)]
    worst = max(rates, default=0.0)
    return (
        f"users noticed: {format_share(worst)} of their requests failed" if worst > NOTICED_ERROR_RATE else ""
    )
