"""What is deleted when it is old enough: nothing that may still be injected, or that still decides."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from scenarios.domain.outcomes import ApprovalState, RunState
from scenarios.domain.suite_states import SuiteRunState
from scenarios.models import Approval, Fault, Run, RunQuerySet, ScheduledTime, SuiteRun
from scenarios.runs.deletion import delete_rows


def prune(before: datetime, *, at_most: int) -> int:
    """Delete finished runs that ended before this time, with events, faults, charts and looks; return how
    many.

    A run that may have left something injected is kept. The transaction begins once the runs are found.
    """
    ids = find_old_runs(before, at_most)
    if not ids:
        return 0
    with transaction.atomic():
        # A run whose fault has since been found injected again is kept.
        left = set(Fault.objects.still_open().filter(run__in=ids).values_list("run", flat=True))
        ids = [run_id for run_id in ids if run_id not in left]
        delete_rows(ids)
    return len(ids)


def find_old_runs(before: datetime, at_most: int) -> list[UUID]:
    """The runs that ended first, by the index on state and end; no others are read."""
    left = list(Fault.objects.still_open().order_by().values_list("run", flat=True).distinct())
    found = select_old_runs(before).values_list("id", flat=True)[: at_most + len(left)]
    return [run_id for run_id in found if run_id not in set(left)][:at_most]


def select_old_runs(before: datetime) -> RunQuerySet:
    return Run.objects.filter(state=RunState.FINISHED, finished_at__lt=before).order_by("finished_at")


def prune_plans(before: datetime) -> int:
    """Delete due times that are as old, and decisions about schedules that have changed since.

    An approval stays until its schedule is changed, because it may still cover it.
    """
    times, _by_table = ScheduledTime.objects.filter(due_at__lt=before).delete()
    decided = Approval.objects.filter(schedule__isnull=False, asked_at__lt=before)
    done = decided.exclude(state__in=(ApprovalState.PENDING, ApprovalState.APPROVED))
    approvals, _by_table = done.delete()
    return times + approvals


def prune_suite_runs(before: datetime, *, at_most: int) -> int:
    """Delete runs of suites that ended before this time, with their cells; return how many. Matrices stay."""
    old = SuiteRun.objects.filter(state=SuiteRunState.FINISHED, finished_at__lt=before)
    ids = list(old.order_by("finished_at").values_list("id", flat=True)[:at_most])
    SuiteRun.objects.filter(id__in=ids).delete()
    return len(ids)
