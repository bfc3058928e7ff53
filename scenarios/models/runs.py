"""Runs and their events."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from scenarios.domain.outcomes import UNBEGUN, UNFINISHED, Outcome, Rollback, RunState
from scenarios.models.fields import PriorityField, choices_of
from scenarios.models.planning import Schedule
from scenarios.models.scenarios import Scenario

NEWEST_FIRST = ("-queued_at", "-id")
WAYS_IN = {
    "admin": "in the browser",
    "api": "by the API",
    "cli": "on the command line",
    "schedule": "by the schedule",
}


class RunQuerySet(models.QuerySet["Run"]):
    def for_a_list(self) -> Self:
        """Without what only the run's own page shows: documents are long."""
        return self.defer("document", "variables")

    def queued(self) -> Self:
        return self.filter(state=RunState.QUEUED)

    def waiting(self) -> Self:
        """Queued runs that a worker has seen and could not begin yet, the first in line first."""
        return self.queued().exclude(waiting_for="").order_by("queued_at")

    def before_in_line(self, run: "Run") -> Self:
        """Queued runs that may begin before this one: of a higher priority, or queued earlier."""
        now = timezone.now()
        earlier = Q(queued_at__lt=run.queued_at) | Q(queued_at=run.queued_at, id__lt=run.id)
        ahead = Q(priority__gt=run.priority) | (Q(priority=run.priority) & earlier)
        held_back = Q(begin_after__gt=now) | Q(begin_before__lte=now)
        return self.queued().filter(ahead).exclude(held_back).order_by("-priority", "queued_at", "id")

    def not_begun(self) -> Self:
        return self.filter(state__in=UNBEGUN)

    def running(self) -> Self:
        return self.filter(state=RunState.RUNNING)

    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)

    def held(self) -> Self:
        """Those that some process holds, to carry them out or to undo what they left behind."""
        return self.filter(state__in=(RunState.RUNNING, RunState.FINISHED), lease_until__isnull=False)

    def alive(self, now: datetime) -> Self:
        return self.running().filter(lease_until__gte=now)


class Run(models.Model):
    """One carrying-out of a scenario. The row is the truth: whoever holds its lease may write to it.

    `fence` grows with every claim and take-over. A writer names the fence it was given, so that one
    who has lost the lease, however late it wakes, changes nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scenario = models.ForeignKey(Scenario, models.SET_NULL, null=True, related_name="runs")
    scenario_name = models.CharField(max_length=63)
    document = models.TextField(help_text="As it was when the run was started.")
    variables = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=choices_of(RunState), default=RunState.QUEUED)
    outcome = models.CharField(max_length=12, choices=choices_of(Outcome), blank=True)
    rollback = models.CharField(max_length=12, choices=choices_of(Rollback), blank=True)
    reason = models.TextField(blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    started_from = models.CharField(
        max_length=20, help_text="Where the wish came from: admin, api, cli, schedule."
    )
    schedule = models.ForeignKey(Schedule, models.SET_NULL, null=True, related_name="runs")
    begin_before = models.DateTimeField(null=True, blank=True, help_text="When its schedule's window closes.")
    begin_after = models.DateTimeField(
        null=True, blank=True, help_text="When to try again what a worker could not begin."
    )
    priority = PriorityField()
    attempt = models.PositiveIntegerField(default=1)
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True, help_text="Host and process that hold the lease.")
    lease_until = models.DateTimeField(null=True, blank=True)
    # Both nullable, and without a constraint: added without reading or rewriting a table of many rows, and an
    # older version's processes can still write rows during an upgrade.
    lease_seconds = models.IntegerField(
        null=True,
        blank=True,
        help_text="How long the lease lasts; empty where an older version has claimed it.",
    )
    takeovers = models.IntegerField(
        null=True, blank=True, help_text="How often this attempt was taken over from a holder that had died."
    )
    services = models.JSONField(default=list, help_text="Those its actions touch: held while it runs.")
    # Nullable: added without rewriting a table of many rows.
    targets = models.JSONField(null=True, help_text="Services and addresses that its acting steps name.")
    addresses = models.JSONField(default=dict, help_text="Where those services were when it was claimed.")
    waiting_for = models.CharField(max_length=500, blank=True, help_text="What kept it from beginning.")
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_requested_by = models.CharField(max_length=200, blank=True)
    last_event = models.PositiveIntegerField(default=0, help_text="Sequence number of the newest event.")
    queued_at = models.DateTimeField(default=timezone.now)
    enqueued_at = models.DateTimeField(null=True, blank=True, help_text="When the queue was last told.")
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-queued_at"]
        permissions = [("stop_run", "Can stop a run")]
        # What else a list may be filtered by stands in each index, too: filters that match nothing together
        # would otherwise read half of all rows to find that out.
        indexes = [
            # With what Home counts by day, so that it reads no row, and no document, of that many runs.
            models.Index(fields=[*NEWEST_FIRST, "outcome", "rollback", "finished_at"]),
            models.Index(fields=["state", "lease_until"]),
            models.Index(fields=["state", "finished_at"]),  # the retention begins with the oldest
            models.Index(fields=["scenario", *NEWEST_FIRST, "outcome", "rollback", "state", "started_by"]),
            models.Index(fields=["outcome", *NEWEST_FIRST, "scenario", "rollback", "state", "started_by"]),
            models.Index(fields=["rollback", *NEWEST_FIRST, "scenario", "outcome", "state", "started_by"]),
            models.Index(fields=["started_by", *NEWEST_FIRST, "scenario", "outcome", "rollback", "state"]),
        ]
        constraints = [
            models.CheckConstraint(
                name="run_finished_with_outcome",
                condition=(
                    Q(state=RunState.FINISHED, finished_at__isnull=False) & ~Q(outcome="") & ~Q(rollback="")
                )
                | (~Q(state=RunState.FINISHED) & Q(outcome="")),
            ),
            models.CheckConstraint(
                name="run_running_with_lease",
                condition=~Q(state=RunState.RUNNING) | Q(lease_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scenario_name} {self.short_id}"

    @property
    def short_id(self) -> str:
        return str(self.id)[:8]

    @property
    def started_in_words(self) -> str:
        """As 'berta, in the browser'."""
        return f"{self.started_by or 'nobody named'}, {WAYS_IN.get(self.started_from, self.started_from)}"

    @property
    def took(self) -> timedelta | None:
        """From the first worker's claim to the end; None while it goes on or where it never began."""
        if self.finished_at is None or self.claimed_at is None:
            return None
        return max(self.finished_at - self.claimed_at, timedelta(0))  # the clock may have been set back

    @property
    def verdict(self) -> str:
        """For people: the state while it goes on, then outcome and, unless clean, the rollback."""
        if self.state != RunState.FINISHED:
            return self.get_state_display()
        return (
            self.outcome if self.rollback == Rollback.CLEAN else f"{self.outcome}, rollback {self.rollback}"
        )


class Event(models.Model):
    """Something that happened in a run; `sequence` has no gap and no repeat."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    at = models.DateTimeField()
    phase = models.CharField(max_length=200, blank=True)
    subject = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["run", "sequence"]
        constraints = [models.UniqueConstraint(fields=["run", "sequence"], name="event_sequence_unique")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind} {self.subject}".rstrip()
