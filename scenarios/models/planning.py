"""Schedules, their due times, and approvals."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from scenarios.domain.outcomes import ApprovalState, DueOutcome
from scenarios.domain.timetable import Timetable, Window, build_timetable
from scenarios.models.fields import DNS_LABEL, PriorityField, build_choices

MAX_GRACE_MINUTES = 24 * 60
DEFAULT_GRACE_MINUTES = 15


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def due(self, now: datetime) -> Self:
        return self.filter(is_paused=False, next_at__lte=now).order_by("next_at")


class Schedule(models.Model):
    """Starts runs of a scenario or a suite at certain times.

    They are referenced by name, so that they may be deleted and imported again.
    """

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    scenario_name = models.CharField("scenario", max_length=63)
    # With a default in the database, for processes of an earlier version, which know no suites.
    suite_name = models.CharField("suite", max_length=63, blank=True, default="", db_default="")
    variables = models.JSONField(default=dict, blank=True)
    # For the same processes.
    environment = models.CharField(max_length=63, blank=True, default="", db_default="")
    cron = models.CharField("cron expression", max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC")
    window_days = models.JSONField(
        default=list, blank=True, help_text="1 is Monday. Select none for every day."
    )
    window_from = models.TimeField(null=True, blank=True)
    window_to = models.TimeField(null=True, blank=True)
    grace_minutes = models.PositiveIntegerField(
        default=DEFAULT_GRACE_MINUTES,
        validators=[MaxValueValidator(MAX_GRACE_MINUTES, "Enter at most 1440 minutes (one day).")],
    )
    priority = PriorityField(
        help_text="From -100 to 100. Waiting runs with the highest priority start first."
    )
    is_paused = models.BooleanField("paused", default=False)
    next_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["is_paused", "next_at"])]

    def __str__(self) -> str:
        return self.name

    @property
    def window(self) -> Window:
        return Window(frozenset(self.window_days), self.window_from, self.window_to)

    def timetable(self) -> Timetable:
        """The due times of the schedule.

        Raises:
            InvalidSchedule: the cron expression, time zone or window is not valid (any more).
        """
        return build_timetable(self.cron, self.time_zone, self.window)


class ScheduledTime(models.Model):
    """A due time of a schedule and its result. Each is stored once, even with several watchdogs."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="times")
    due_at = models.DateTimeField()
    noted_at = models.DateTimeField(default=timezone.now)
    outcome = models.CharField(max_length=10, choices=build_choices(DueOutcome))
    reason = models.TextField(blank=True)
    run = models.ForeignKey("scenarios.Run", models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-due_at"]
        constraints = [models.UniqueConstraint(fields=["schedule", "due_at"], name="schedule_due_once")]

    def __str__(self) -> str:
        return f"{self.schedule} {self.due_at:%Y-%m-%d %H:%M} {self.outcome}"


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def pending(self) -> Self:
        return self.filter(state=ApprovalState.PENDING)

    def of_runs(self) -> Self:
        return self.filter(run__isnull=False)

    def expired(self, now: datetime) -> Self:
        return self.pending().filter(expires_at__lte=now)

    def for_a_list(self) -> Self:
        return self.select_related("run", "schedule", "asked_by", "decided_by").defer(
            "run__document", "run__included", "run__variables"
        )


class Approval(models.Model):
    """A request to act on protected services, and a second person's decision.

    It is for one run, or for a schedule; then it covers all runs until something in `fingerprint` changes.
    User names are stored too, because accounts may be deleted.
    """

    run = models.OneToOneField(
        "scenarios.Run", models.CASCADE, null=True, blank=True, related_name="approval"
    )
    schedule = models.ForeignKey(Schedule, models.CASCADE, null=True, blank=True, related_name="approvals")
    fingerprint = models.CharField(max_length=64, blank=True)
    services = models.JSONField(
        default=list, help_text="The protected services that the run or schedule acts on."
    )
    state = models.CharField(
        max_length=10, choices=build_choices(ApprovalState), default=ApprovalState.PENDING
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    asked_by_name = models.CharField("requested by", max_length=200)
    asked_at = models.DateTimeField("requested at", default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_by_name = models.CharField("decided by", max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at"]
        permissions = [("approve_run", "Can approve or refuse what another asked for")]
        indexes = [models.Index(fields=["state", "-asked_at"])]
        constraints = [
            models.CheckConstraint(
                name="approval_of_run_or_schedule",
                condition=Q(run__isnull=True) ^ Q(schedule__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return str(self.run) if self.run is not None else f"schedule {self.schedule}"

    @property
    def in_words(self) -> str:
        """As 'approved by bob at …, requested by ann: reason'."""
        requested = f"requested by {self.asked_by_name}"
        if self.state == ApprovalState.PENDING:
            return f"pending, {requested}"
        by = f" by {self.decided_by_name}" if self.decided_by_name else ""
        at = f" at {self.decided_at:%Y-%m-%d %H:%M:%S} UTC" if self.decided_at else ""
        return f"{self.state}{by}{at}, {requested}{f': {self.reason}' if self.reason else ''}"
