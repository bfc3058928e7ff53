"""Enqueues runs that may begin. The run's row is the truth; the queue only wakes a worker."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from scenarios.domain.outages import Outage
from scenarios.models import Run
from scenarios.runs import admission, approval_gate, line

MAX_TEXTS_REFRESHED = 50
# A message that was lost is sent again; a queue that is only busy is not flooded.
ENQUEUE_AGAIN_AFTER = timedelta(seconds=30)
JUST_NOW = timedelta(seconds=1)
# For this long, only the watchdog tries a queue that has failed.
REST_SECONDS = 5.0
outage = Outage("The queue")


class RunTask(Protocol):
    """The task that carries out a run, `scenarios.tasks.carry_out_run`."""

    def enqueue(self, run_id: str, attempt: int, /) -> object: ...


_run_task: RunTask | None = None


def use_task(task: RunTask) -> None:
    """Enqueue runs with this task. It is passed in, because it imports the package of this module."""
    global _run_task  # noqa: PLW0603 - one for each process, set when the app is loaded
    _run_task = task


def enqueue_run(run: Run) -> None:
    """Enqueue the run. A message too many is harmless: it finds nothing to claim.

    A queue that cannot be reached loses nothing: the run waits, and the watchdog enqueues it again.
    """
    enqueue_runs([run], unless_away_for=REST_SECONDS)


def enqueue_waiting_runs() -> int:
    """Enqueue the runs that may begin now and are not in the queue; return how many.

    One whose service has been protected since it was queued waits for an approval from now on.
    """
    return enqueue_runs(find_runs_to_enqueue(timezone.now()), unless_away_for=REST_SECONDS)


def ask_for_missing_approvals() -> None:
    """Have the queued runs that a worker may not claim without an approval wait for one."""
    if not Run.objects.queued().filter(waiting_for__startswith=admission.NEEDS_APPROVAL).exists():
        return
    with transaction.atomic():
        admission.lock_admission()
        for run in Run.objects.queued().filter(waiting_for__startswith=admission.NEEDS_APPROVAL):
            if unapproved := admission.find_unapproved(run):
                approval_gate.ask_for_run(run, unapproved)


def find_runs_to_enqueue(now: datetime, knock_again_after: timedelta = ENQUEUE_AGAIN_AFTER) -> list[Run]:
    """The runs that may begin now, the first in line first, without those that were just enqueued.

    The others in line learn what they wait for.
    """
    if not line.in_line(now).exists():
        return []
    with transaction.atomic():
        found = []
        for place, (run, obstacle) in enumerate(line.scan_line(admission.lock_admission(), now)):
            if not obstacle and (services := admission.find_unapproved(run)):  # protected since it was queued
                approval_gate.ask_for_run(run, services)
            elif not obstacle and (run.waiting_for or not _was_enqueued(run, now, knock_again_after)):
                found.append(run)
            elif obstacle and place < MAX_TEXTS_REFRESHED and obstacle[:500] != run.waiting_for:
                Run.objects.queued().filter(id=run.id).update(waiting_for=obstacle[:500])
        Run.objects.queued().filter(id__in=[run.id for run in found]).update(waiting_for="")
    return found


def _was_enqueued(run: Run, now: datetime, knock_again_after: timedelta) -> bool:
    # Ahead of this clock: it was enqueued before the clock was set back.
    return run.enqueued_at is not None and abs(now - run.enqueued_at) <= knock_again_after


def enqueue_runs(runs: Sequence[Run], *, unless_away_for: float = 0.0) -> int:
    """Enqueue the runs until the queue fails; return how many were enqueued.

    With `unless_away_for` nothing is tried where the queue has failed within so many seconds: a queue that
    hangs costs a time limit for each try.
    """
    if not runs:
        return 0
    if _run_task is None:
        raise ImproperlyConfigured("no task carries out runs: the app 'scenarios' is not loaded")
    enqueued = 0
    try:
        for run in runs if not outage.failed_within(unless_away_for) else ():
            if not _was_enqueued(run, timezone.now(), JUST_NOW):
                Run.objects.filter(id=run.id).update(enqueued_at=timezone.now())
            _run_task.enqueue(str(run.id), run.attempt)
            enqueued += 1
    except Exception as error:  # noqa: BLE001 - each queue has errors of its own: of Redis, of a database
        outage.note_failure(error)
    else:
        if enqueued:
            outage.note_success()
    if missing := [run.id for run in runs[enqueued:]]:
        Run.objects.filter(id__in=missing).update(enqueued_at=None)
    return enqueued
