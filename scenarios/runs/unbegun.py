"""Claimed runs that have not begun: they go back to the queue, whatever kept the worker from beginning.

Nothing was injected yet, so another worker, or the same one a little later, may begin such a run.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import RunState
from scenarios.models import Event, Hold, Run
from scenarios.runs.component_heartbeats import note_trouble
from scenarios.runs.leases import Claim

MAX_TRIES = 10
MAX_DELAY_SECONDS = 30.0
# Each try raises the fence twice: when the run is claimed, and when it is given back.
FENCES_PER_TRY = 2


def has_begun(run: Run) -> bool:
    """Whether the run's current attempt has started."""
    started = Event.objects.filter(run=run, kind=EventKind.RUN_STARTED, detail__attempt=run.attempt)
    return started.exists() or run.faults.exists()


def give_back(claim: Claim, reason: str) -> Run | None:
    """Queue a claimed run again that has not begun, to be tried a little later each time.

    None where it has begun, was lost to another process, was asked to stop, or was tried MAX_TRIES times.
    """
    with transaction.atomic():
        held = Run.objects.select_for_update().filter(
            id=claim.run_id, fence=claim.fence, state=RunState.RUNNING, stop_requested_at__isnull=True
        )
        run = held.first()
        if run is None or has_begun(run) or claim.fence > (MAX_TRIES - 1) * FENCES_PER_TRY:
            return None
        now = timezone.now()
        sentence = f"a worker could not begin it: {reason}"[:500]
        delay = min(MAX_DELAY_SECONDS, 2.0 ** (claim.fence // FENCES_PER_TRY))
        held.update(
            state=RunState.QUEUED,
            fence=F("fence") + 1,
            worker="",
            lease_until=None,
            claimed_at=None,
            enqueued_at=None,
            waiting_for=sentence,
            begin_after=now + timedelta(seconds=delay),
        )
        Hold.objects.filter(run=run).delete()
        note_trouble("worker", f"{run} {sentence}")
    return Run.objects.get(id=claim.run_id)
