"""Runs that have ended, as a worker leaves them."""

from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.models import Event, Fault, Run
from scenarios.suites.composition import MAY_FAIL


def end_run(
    run: Run, outcome: Outcome, reason: str = "", *, broken: bool = True, noticed: bool = False
) -> None:
    """As a worker does; the engine itself is not what is tested here."""
    now = timezone.now()
    if broken:
        Fault.objects.create(
            run=run,
            order=1,
            phase="fault",
            action="break it",
            undo={},
            timeout=30.0,
            driver="proxy",
            state=FaultState.UNDONE,
            opened_at=now,
            injected_at=now,
            closed_at=now,
        )
    if noticed:
        Event.objects.create(
            run=run,
            sequence=1,
            kind=EventKind.VALIDATION_NOT_HOLDING,
            at=now,
            phase="fault",
            subject=MAY_FAIL,
            detail={"reason": "status is 503"},
        )
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FINISHED, outcome=outcome, rollback=Rollback.CLEAN, reason=reason, finished_at=now
    )
