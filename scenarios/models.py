"""What is stored: scenarios, services, runs with their events, the ledger of faults; what is planned.

Reads live here, writes in services.py and leases.py.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator, URLValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from simple_history.models import HistoricalRecords

from scenarios import api_models  # noqa: F401 - models, too: Django looks for them here
from scenarios.chart_models import RunCharts, ServiceQuery
from scenarios.domain.outcomes import (
    OPEN_STATES,
    OUTSTANDING_STATES,
    STATES_AWAITED,
    STATES_TO_UNDO,
    UNBEGUN,
    UNFINISHED,
    FaultState,
    Outcome,
    Rollback,
    RunState,
)
from scenarios.fields import DNS_LABEL, PriorityField, choices_of
from scenarios.named_service_models import NamedService
from scenarios.planning_models import Approval, ApprovalQuerySet, Schedule, ScheduledTime
from scenarios.webhook_models import Delivery, Webhook

__all__ = [
    "Approval",
    "ApprovalQuerySet",
    "Delivery",
    "Event",
    "Fault",
    "FaultQuerySet",
    "GlobalStop",
    "Heartbeat",
    "Hold",
    "NamedService",
    "Run",
    "RunCharts",
    "RunQuerySet",
    "Scenario",
    "Schedule",
    "ScheduledTime",
    "Service",
    "ServiceQuery",
    "Webhook",
]


def author_of(instance: "Scenario", **_named: object) -> object:
    return instance.changed_by


HEALTH_PATH = RegexValidator(
    r"^/(?!/)[!-~]*\Z", "A path begins with one '/' and has no spaces, as in '/health'."
)
DEFAULT_HEALTH_PATH = "/health"
NEWEST_FIRST = ("-queued_at", "-id")
WAYS_IN = {
    "admin": "in the browser",
    "api": "by the API",
    "cli": "on the command line",
    "schedule": "by the schedule",
}


class Scenario(models.Model):
    """A document that has passed validation. `name`, `title` and `tags` are the document's own."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    document = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    # Whoever changed it is named by the row itself: a change may come from the command line too.
    history = HistoricalRecords(
        excluded_fields=["created_at", "changed_at", "changed_by"], get_user=author_of
    )

    class Meta:
        ordering = ["name"]
        permissions = [("run_scenario", "Can run a scenario")]

    def __str__(self) -> str:
        return self.name


class Service(models.Model):
    """A service that scenarios act on, by name."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    base_url = models.CharField(
        verbose_name="base URL",
        max_length=500,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="As http://127.0.0.1:9101: paths of steps are appended.",
    )
    description = models.TextField(blank=True)
    is_protected = models.BooleanField(
        "protected",
        default=False,
        help_text="A run that acts on it begins only after a second person has approved it.",
    )
    health_path = models.CharField(
        max_length=200,
        default=DEFAULT_HEALTH_PATH,
        blank=True,
        validators=[HEALTH_PATH],
        help_text="What is asked to see whether it is well, as /health or /ready?full=1.",
    )
    health_status = models.PositiveSmallIntegerField(
        "healthy status",
        null=True,
        blank=True,
        validators=[MinValueValidator(100), MaxValueValidator(599)],
        help_text="What it answers when it is well. Empty: anything from 200 to 299.",
    )
    protected_since = models.DateTimeField(
        null=True, editable=False, help_text="Since when it is protected at this address."
    )

    class Meta:
        ordering = ["name"]
        permissions = [("protect_service", "Can protect a service, and change a protected one")]

    def __str__(self) -> str:
        return self.name

    def save(self, *arguments: Any, **named: Any) -> None:
        present = Service.objects.filter(pk=self.pk, base_url=self.base_url, is_protected=True)
        if not self.is_protected:
            self.protected_since = None
        elif self.pk is None or not present.exists():
            self.protected_since = timezone.now()
        super().save(*arguments, **named)


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


# Seconds before an outstanding fault is tried again: doubled with each try, up to this.
LONGEST_RETRY_DELAY = 60.0


# Not `run__state=FINISHED`: SQLite would then look through all runs that have ended, of which there are many,
# for their faults. It has no index for NOT, and begins with the few faults.
_HAS_ENDED = ~Q(run__state__in=UNFINISHED)


class FaultQuerySet(models.QuerySet["Fault"]):
    def to_undo(self) -> Self:
        """Faults that have not been undone, the newest first."""
        return self.filter(state__in=STATES_TO_UNDO).order_by("-order")

    def awaited(self) -> Self:
        """Faults that were undone, and whose injection may still arrive, the newest first."""
        return self.filter(state__in=STATES_AWAITED).order_by("-order")

    def still_open(self) -> Self:
        """Faults that the ledger has not closed, the newest first."""
        return self.filter(state__in=OPEN_STATES).order_by("-order")

    def outstanding(self) -> Self:
        """Faults of which nobody can say that they are gone, and which their run is not about to undo.

        Those of ended runs, until they are undone or seen to be gone; and those of running ones whose undo
        has failed. `Fault.is_outstanding` says the same of one.
        """
        return self.filter(_HAS_ENDED | Q(state=FaultState.OUTSTANDING), state__in=OUTSTANDING_STATES)

    def left_behind(self) -> Self:
        """Open faults of runs that have ended: the watchdog undoes them."""
        return self.filter(_HAS_ENDED, state__in=OPEN_STATES)

    def rollback(self) -> Rollback:
        """What can be said of the rollback of a run with these faults."""
        states = set(self.filter(state__in=OPEN_STATES).values_list("state", flat=True))
        if not states.isdisjoint(STATES_TO_UNDO):
            return Rollback.DIRTY
        return Rollback.UNVERIFIED if FaultState.UNVERIFIED in states else Rollback.CLEAN

    def on_host(self, host: str) -> Self:
        """Those that a process of this host can undo."""
        return self.filter(host__in=("", host))

    def due(self, now: datetime) -> Self:
        """Those to be tried now; also where the clock was set back since, and the next try is far ahead."""
        ahead = now + timedelta(seconds=LONGEST_RETRY_DELAY)
        retried = Q(state__in=STATES_TO_UNDO) & (Q(next_try_at__isnull=True) | Q(next_try_at__gt=ahead))
        # Few rows, each with a time of its own.
        times = self.filter(state__in=STATES_AWAITED).values_list("pk", "next_try_at", "late_seconds")
        too_far = [pk for pk, at, late in times if at is None or at > now + timedelta(seconds=late)]
        return self.left_behind().filter(retried | Q(next_try_at__lte=now) | Q(pk__in=too_far))


class Fault(models.Model):
    """A row of the ledger: written before the fault is injected, with what takes it back."""

    run = models.ForeignKey(Run, models.PROTECT, related_name="faults")
    order = models.PositiveIntegerField(help_text="Place in the order of injection within the run.")
    phase = models.CharField(max_length=200)
    action = models.CharField(max_length=200)
    driver = models.CharField(max_length=63)
    service = models.CharField(max_length=63, blank=True)
    services = models.JSONField(default=list, help_text="Those it touches: held until it is undone.")
    host = models.CharField(
        max_length=63,
        blank=True,
        default="",
        db_default="",
        help_text="Only a process of this host can undo it; empty: any process can.",
    )
    undo = models.JSONField(help_text="Driver and arguments of the step that takes the fault back.")
    proof = models.JSONField(null=True, blank=True, help_text="The probe that shows that it is gone.")
    address = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="Where the undo's service was when the fault was injected.",
    )
    timeout = models.FloatField(help_text="Seconds that one undo may take.")
    late_seconds = models.FloatField(
        default=0.0,
        db_default=0.0,
        help_text="How long it may still arrive where its injection was not answered.",
    )
    late_until = models.DateTimeField(
        null=True, blank=True, help_text="Undone again then: its injection was not answered."
    )
    state = models.CharField(max_length=12, choices=choices_of(FaultState), default=FaultState.INJECTING)
    reason = models.TextField(blank=True, help_text="Why the last undo failed, or why nothing was injected.")
    undo_tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField()
    injected_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)

    objects = FaultQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at"]
        permissions = [("acknowledge_fault", "Can acknowledge a fault that could not be undone")]
        indexes = [models.Index(fields=["state", "next_try_at"]), models.Index(fields=["-opened_at"])]
        constraints = [models.UniqueConstraint(fields=["run", "order"], name="fault_order_unique")]

    def __str__(self) -> str:
        return f"{self.action} ({self.state})"

    @property
    def place(self) -> str:
        """Where it is, for people: the service it names, or the host it is bound to."""
        return self.service or (f"host {self.host}" if self.host else "")

    @property
    def standing(self) -> str:
        """The state in words, and what comes next."""
        state = str(self.get_state_display())
        if self.state in STATES_AWAITED and self.late_until is not None:
            return f"{state}, may still arrive until {timezone.localtime(self.late_until):%H:%M:%S}"
        if self.state == FaultState.OUTSTANDING and self.run.state in UNFINISHED:
            return f"{state}, being retried"
        return state

    @property
    def is_outstanding(self) -> bool:
        has_ended = self.run.state not in UNFINISHED
        return self.state == FaultState.OUTSTANDING or (has_ended and self.state in OUTSTANDING_STATES)


class Hold(models.Model):
    """A service that a run has for itself, until nothing of the run is left there, or may still arrive."""

    service = models.CharField(max_length=63, primary_key=True)
    run = models.ForeignKey(Run, models.CASCADE, related_name="holds")

    def __str__(self) -> str:
        if self.run.state != RunState.FINISHED:
            return str(self.run)
        if self.run.rollback == Rollback.DIRTY:
            return f"{self.run} with a fault that is not undone"
        return f"{self.run} with a fault that was never answered and may still arrive"


class GlobalStop(models.Model):
    """One row: while the stop is pulled no run begins. Whoever claims a run locks it first."""

    ONLY = 1

    pulled_at = models.DateTimeField(null=True, blank=True)
    pulled_by = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        permissions = [("pull_globalstop", "Can pull and release the global stop")]

    def __str__(self) -> str:
        return f"the global stop, pulled by {self.pulled_by} ({self.reason})"


class Heartbeat(models.Model):
    """When a part of the system last showed that it works; `name` is `watchdog` or `worker`."""

    name = models.CharField(max_length=40, primary_key=True)
    seen_at = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.name} {self.seen_at:%H:%M:%S}"
