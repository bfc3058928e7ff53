"""What is deleted when it is old enough: nothing that may still be injected, or that still decides."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django_tasks_db.models import DBTaskResult

from scenarios.domain.outcomes import ApprovalState, RunState
from scenarios.domain.suite_states import SuiteRunState
from scenarios.models import Approval, Fault, Run, RunQuerySet, Scenario, ScheduledTime, Suite, SuiteRun
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


def prune_sessions(now: datetime, *, at_most: int) -> int:
    """Delete sessions that have expired; return how many."""
    return _delete_some(Session.objects.filter(expire_date__lt=now), at_most)


def prune_tasks(before: datetime, *, at_most: int) -> int:
    """Delete tasks of the database queue that ended before this time; return how many."""
    rows = DBTaskResult.objects.finished().filter(finished_at__lt=before)
    return _delete_some(rows.order_by(), at_most)


def prune_admin_log(before: datetime, *, at_most: int) -> int:
    """Delete what the pages of rows list as their history; return how many entries."""
    return _delete_some(LogEntry.objects.filter(action_time__lt=before).order_by("pk"), at_most)


def prune_versions(before: datetime, *, at_most: int) -> int:
    """Delete versions of scenarios and suites that were deleted before this time; return how many.

    Those that exist keep all versions, which are known by their numbers.
    """
    deleted = 0
    for model in (Scenario, Suite):
        versions = model.history.model.objects
        later = versions.filter(id=OuterRef("id"), history_date__gte=before)
        exists = model.objects.filter(pk=OuterRef("id"))
        rows = versions.filter(~Exists(exists), ~Exists(later), history_date__lt=before)
        deleted += _delete_some(rows.order_by("history_id"), at_most - deleted)
    return deleted


def _delete_some(rows: QuerySet[Any], at_most: int) -> int:
    keys = list(rows.values_list("pk", flat=True)[:at_most])
    rows.model._default_manager.filter(pk__in=keys).delete()  # noqa: SLF001 - documented by Django
    return len(keys)
