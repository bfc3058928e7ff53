"""Suites, the cells of their matrices, and their runs."""

import uuid
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from simple_history.models import HistoricalRecords

from scenarios.domain.suite_states import CellState, SuiteOutcome, SuiteRunState, TriedState
from scenarios.models.fields import DNS_LABEL, build_choices
from scenarios.models.planning import Schedule
from scenarios.models.runs import Run


def get_author(instance: "Suite", **_named: object) -> object:
    return instance.changed_by


class Suite(models.Model):
    """A valid document. All other columns but its history are copies from it.

    People who may read, change or run scenarios may do so with suites.
    """

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    service = models.CharField(max_length=63, help_text="The service need not be registered any more.")
    document = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    history = HistoricalRecords(
        excluded_fields=["created_at", "changed_at", "changed_by", "service"], get_user=get_author
    )

    class Meta:
        ordering = ["name"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class SuiteCellQuerySet(models.QuerySet["SuiteCell"]):
    def stale(self, now: datetime) -> Self:
        """Proved too long ago, or by a run that has been deleted since."""
        return self.exclude(state=CellState.NEVER_TRIED).filter(Q(fresh_until__lt=now) | Q(run__isnull=True))


class SuiteCell(models.Model):
    """A dependency and a fault of a suite, and what the last run that proved something has shown."""

    suite = models.ForeignKey(Suite, models.CASCADE, related_name="cells")
    order = models.PositiveIntegerField()
    dependency = models.CharField(max_length=63)
    fault = models.CharField(max_length=40)
    state = models.CharField(max_length=12, choices=build_choices(CellState), default=CellState.NEVER_TRIED)
    reason = models.TextField(blank=True)
    obstacle = models.TextField(blank=True, help_text="Why the fault cannot be injected; empty if it can.")
    run = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="+")
    proved_at = models.DateTimeField(null=True)
    fresh_until = models.DateTimeField(null=True)

    objects = SuiteCellQuerySet.as_manager()

    class Meta:
        ordering = ["suite", "order"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["suite", "dependency", "fault"], name="suite_cell_once")
        ]

    def __str__(self) -> str:
        return f"{self.dependency} {self.fault}"


class SuiteRun(models.Model):
    """One pass through the cells of a suite, by its document at the start."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    suite = models.ForeignKey(Suite, models.SET_NULL, null=True, related_name="runs")
    suite_name = models.CharField(max_length=63)
    document = models.TextField(help_text="A copy from when the run of the suite was started.")
    state = models.CharField(
        max_length=12, choices=build_choices(SuiteRunState), default=SuiteRunState.RUNNING
    )
    outcome = models.CharField(max_length=12, choices=build_choices(SuiteOutcome), blank=True)
    reason = models.TextField(blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_from = models.CharField(max_length=20, help_text="One of admin, api, cli and schedule.")
    schedule = models.ForeignKey(Schedule, models.SET_NULL, null=True, related_name="suite_runs")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_requested_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["suite", "-started_at", "-id"]),
            models.Index(fields=["state", "finished_at"]),
        ]
        constraints = [
            # Two at once would break each other's service, and take each other's faults for their own.
            models.UniqueConstraint(
                fields=["suite"], condition=Q(state=SuiteRunState.RUNNING), name="suite_running_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.suite_name} {self.short_id}"

    @property
    def short_id(self) -> str:
        return str(self.id)[:8]

    @property
    def verdict(self) -> str:
        return self.outcome if self.state == SuiteRunState.FINISHED else self.state


class TriedCell(models.Model):
    """A cell of one run of a suite; `run` is none until it is its turn."""

    suite_run = models.ForeignKey(SuiteRun, models.CASCADE, related_name="cells")
    order = models.PositiveIntegerField()
    dependency = models.CharField(max_length=63)
    fault = models.CharField(max_length=40)
    state = models.CharField(max_length=12, choices=build_choices(TriedState), default=TriedState.WAITING)
    reason = models.TextField(blank=True)
    run = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["suite_run", "order"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["suite_run", "order"], name="tried_cell_once")]

    def __str__(self) -> str:
        return f"{self.dependency} {self.fault}"
