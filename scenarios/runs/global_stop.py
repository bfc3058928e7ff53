"""The global stop: no run begins, and every running one ends."""

from django.db import transaction
from django.utils import timezone

from scenarios.database.durability import on_disk
from scenarios.models import Run
from scenarios.runs import admission
from scenarios.runs.task_queue import enqueue_waiting_runs


def pull_global_stop(*, by: str, reason: str) -> int:
    """Let no run begin, and end every running one `aborted` with its faults undone; return how many.

    Pulled again, it keeps who pulled it first, adds who pulled it again and why, and stops every running run.
    """
    with on_disk():  # a power cut must not release it
        stop = admission.lock_admission()
        if stop.pulled_at is None:
            stop.pulled_at, stop.pulled_by, stop.reason = timezone.now(), by, reason[:300]
            stop.save()
        elif reason:
            stop.reason = f"{stop.reason or 'no reason'}; {by}: {reason}"[:300]
            stop.save()
        Run.objects.queued().update(waiting_for=admission.describe_stop(stop)[:500])
        request = {"stop_requested_at": timezone.now(), "stop_requested_by": str(stop)[:200]}
        return Run.objects.running().filter(stop_requested_at__isnull=True).update(**request)


def release_global_stop() -> bool:
    """Let runs begin again. Returns False if the stop was not pulled."""
    with transaction.atomic():
        stop = admission.lock_admission()
        was_pulled = stop.pulled_at is not None
        stop.pulled_at, stop.pulled_by, stop.reason = None, "", ""
        stop.save()
        # What else they wait for is written again when each that can begin is enqueued.
        Run.objects.queued().update(waiting_for="", enqueued_at=None)
    enqueue_waiting_runs()
    return was_pulled
