"""Runs and their events."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from scenarios.domain.event_kinds import Topic
from scenarios.domain.outcomes import UNBEGUN, UNFINISHED, Outcome, Rollback, RunState
from scenarios.domain.trace_context import build_span_id
from scenarios.models.fields import PriorityField, build_choices
from scenarios.models.planning import Schedule
from scenarios.models.scenarios import Scenario

NEWEST_FIRST = ("-queued_at", "-id")
# How a known person has started a run, and what stands for an unknown one.
WAYS_IN = {
    "admin": ("in the browser", "the browser"),
    "api": ("through the API", "the API"),
    "cli": ("on the command line", "the command line"),
    "schedule": ("by the schedule", "the schedule"),
}


def build_trace_url(trace_id: str, span_id: str = "") -> str:
    """A page that shows a trace, at this span if TRACE_URL has a place for its id; "" without TRACE_URL."""
    return settings.TRACE_URL.replace("{trace_id}", trace_id).replace("{span_id}", span_id)


class RunQuerySet(models.QuerySet["Run"]):
    def for_a_list(self) -> Self:
        """Without documents and variables, which only the run's own page shows."""
        return self.defer("document", "included", "variables")

    def in_state(self, state: str) -> Self:
        """Most runs have ended. They are told by their outcome, so that a database goes through them in the
        order of the list, instead of sorting all that an index on the state finds.
        """
        return self.exclude(outcome="") if state == RunState.FINISHED else self.filter(state=state)

    def queued(self) -> Self:
        return self.filter(state=RunState.QUEUED)

    def waiting(self) -> Self:
        """Queued runs that a worker has seen but could not start yet, oldest first."""
        return self.queued().exclude(waiting_for="").order_by("queued_at")

    def before_in_line(self, run: "Run") -> Self:
        """Queued runs that may start before this one, because of their priority or age."""
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
        """Runs whose lease a process holds, to carry them out or to undo their faults."""
        return self.filter(state__in=(RunState.RUNNING, RunState.FINISHED), lease_until__isnull=False)

    def alive(self, now: datetime) -> Self:
        return self.running().filter(lease_until__gte=now)


class Run(models.Model):
    """One execution of a scenario. Only the process that holds the lease may write to the row.

    `fence` grows with every claim and takeover. Each write names the fence of its claim, so that a process
    that has lost the lease changes nothing, however late it wakes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scenario = models.ForeignKey(Scenario, models.SET_NULL, null=True, related_name="runs")
    scenario_name = models.CharField(max_length=63)
    document = models.TextField(help_text="A copy from when the run was started.")
    # Nullable, so that adding it does not rewrite a large table.
    included = models.JSONField(
        null=True, blank=True, help_text="Copies of the scenarios that the document includes, by name."
    )
    variables = models.JSONField(default=dict)
    # With a default in the database, for processes of an earlier version, which know no environments.
    environment = models.CharField(max_length=63, blank=True, default="", db_default="")
    state = models.CharField(max_length=20, choices=build_choices(RunState), default=RunState.QUEUED)
    outcome = models.CharField(max_length=12, choices=build_choices(Outcome), blank=True)
    rollback = models.CharField(max_length=12, choices=build_choices(Rollback), blank=True)
    reason = models.TextField(blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)
    started_from = models.CharField(max_length=20, help_text="One of admin, api, cli and schedule.")
    schedule = models.ForeignKey(Schedule, models.SET_NULL, null=True, related_name="runs")
    begin_before = models.DateTimeField(
        null=True, blank=True, help_text="When the window of its schedule closes."
    )
    begin_after = models.DateTimeField(
        null=True, blank=True, help_text="When a worker may try to start it again."
    )
    priority = PriorityField()
    attempt = models.PositiveIntegerField(default=1)
    fence = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True, help_text="Host and process that hold the lease.")
    lease_until = models.DateTimeField(null=True, blank=True)
    # Nullable and without a constraint, so that adding them does not rewrite a large table, and processes of
    # an older version can still write rows during an upgrade.
    lease_seconds = models.IntegerField(
        null=True,
        blank=True,
        help_text="How long the lease lasts; empty if an older version claimed it.",
    )
    takeovers = models.IntegerField(
        null=True, blank=True, help_text="How often this attempt was taken over from a process that died."
    )
    services = models.JSONField(
        default=list, help_text="The services that its actions touch; held while it runs."
    )
    # Nullable, so that adding it does not rewrite a large table.
    targets = models.JSONField(null=True, help_text="Services and addresses that its actions name.")
    addresses = models.JSONField(
        default=dict, help_text="The addresses of those services when the run was claimed."
    )
    # Nullable, so that adding it does not rewrite a large table.
    pinned = models.JSONField(
        null=True, help_text="Its services' proxies and its hosts, as registered when the run was claimed."
    )
    waiting_for = models.CharField(max_length=500, blank=True, help_text="What kept the run from starting.")
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_requested_by = models.CharField(max_length=200, blank=True)
    last_event = models.PositiveIntegerField(default=0, help_text="Sequence number of the newest event.")
    queued_at = models.DateTimeField(default=timezone.now)
    enqueued_at = models.DateTimeField(null=True, blank=True, help_text="When it was last put on the queue.")
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-queued_at"]
        permissions = [("stop_run", "Can stop a run")]
        # Each index also has the other columns of the list's filters. Otherwise a combination of filters that
        # matches nothing would read half of all rows.
        indexes = [
            # Also has the columns that Home counts by day, so that it reads no rows with their documents.
            models.Index(fields=[*NEWEST_FIRST, "outcome", "rollback", "finished_at"]),
            models.Index(fields=["state", "lease_until"]),
            models.Index(fields=["state", "finished_at"]),  # retention deletes the oldest first
            models.Index(fields=["scenario", *NEWEST_FIRST, "outcome", "rollback", "state", "started_by"]),
            models.Index(fields=["outcome", *NEWEST_FIRST, "scenario", "rollback", "state", "started_by"]),
            models.Index(fields=["rollback", *NEWEST_FIRST, "scenario", "outcome", "state", "started_by"]),
            models.Index(fields=["started_by", *NEWEST_FIRST, "scenario", "outcome", "rollback", "state"]),
            models.Index(
                fields=[
                    "environment",
                    *NEWEST_FIRST,
                    "scenario",
                    "outcome",
                    "rollback",
                    "state",
                    "started_by",
                ]
            ),
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
        """As 'berta, in the browser', or 'the command line' for an unknown person."""
        way_in, place = WAYS_IN.get(self.started_from, (self.started_from, self.started_from))
        return f"{self.started_by}, {way_in}" if self.started_by else place

    @property
    def trace_url(self) -> str:
        """A page that shows the run's trace; "" if none is configured.

        Without a span: Jaeger would fold everything below that of the run.
        """
        return build_trace_url(self.id.hex)

    def find_trace_url(self, topic: Topic, phase: str, name: str) -> str:
        """The same page, at the span of a step or a load of the last attempt."""
        span_id = build_span_id(self.id, str(self.attempt), topic.value, phase, name)
        return build_trace_url(self.id.hex, span_id)

    @property
    def has_lost_worker(self) -> bool:
        """Whether it should go on, but nothing has renewed its lease: its worker is dead, or cut off."""
        is_over = self.lease_until is not None and self.lease_until < timezone.now()
        return self.state == RunState.RUNNING and is_over

    @property
    def took(self) -> timedelta | None:
        """From the first claim to the end; None if the run has not ended or never started."""
        if self.finished_at is None or self.claimed_at is None:
            return None
        return max(self.finished_at - self.claimed_at, timedelta(0))  # the clock may have been set back

    @property
    def verdict(self) -> str:
        """The state until the run has ended, then the outcome and, unless clean, the rollback."""
        if self.state != RunState.FINISHED:
            return self.get_state_display()
        return (
            self.outcome if self.rollback == Rollback.CLEAN else f"{self.outcome}, rollback {self.rollback}"
        )


class Event(models.Model):
    """Something that happened in a run; `sequence` counts from 1 without gaps."""

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
