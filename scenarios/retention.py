"""What is deleted when it is old enough: nothing that may still be injected, or that still decides."""

from datetime import datetime

from django.db import transaction

from scenarios.domain.outcomes import ApprovalState, RunState
from scenarios.models import Approval, Event, Fault, Run, RunCharts, ScheduledTime


def prune(before: datetime, *, at_most: int) -> int:
    """Delete finished runs that ended before, with events, faults and charts; how many they were.

    Never one that may have left something injected.
    """
    with transaction.atomic():
        left = Fault.objects.still_open().values("run")
        old = Run.objects.filter(state=RunState.FINISHED, finished_at__lt=before).exclude(id__in=left)
        ids = list(old.order_by("finished_at").values_list("id", flat=True)[:at_most])
        Fault.objects.filter(run__in=ids).delete()
        Event.objects.filter(run__in=ids).delete()
        RunCharts.objects.filter(run__in=ids).delete()
        Run.objects.filter(id__in=ids).delete()
    return len(ids)


def prune_plans(before: datetime) -> int:
    """Delete due times of schedules that are as old, and what was decided about schedules since changed.

    An approval that was given stays until its schedule is changed: it may still cover it.
    """
    times, _by_table = ScheduledTime.objects.filter(due_at__lt=before).delete()
    decided = Approval.objects.filter(schedule__isnull=False, asked_at__lt=before)
    done = decided.exclude(state__in=(ApprovalState.PENDING, ApprovalState.APPROVED))
    approvals, _by_table = done.delete()
    return times + approvals
