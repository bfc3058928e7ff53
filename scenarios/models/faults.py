"""The ledger of faults, and the services that runs hold."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scenarios.domain.durations import format_duration
from scenarios.domain.outcomes import (
    OPEN_STATES,
    OUTSTANDING_STATES,
    STATES_AWAITED,
    STATES_TO_UNDO,
    UNFINISHED,
    FaultState,
    Rollback,
    RunState,
)
from scenarios.models.fields import build_choices
from scenarios.models.runs import Run

# In seconds. The delay between tries to undo an outstanding fault doubles up to this.
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 1.0, 60.0
# Not `run__state=FINISHED`, because SQLite would then search the many ended runs for faults. It has no index
# for NOT, so it starts with the few faults.
_HAS_ENDED = ~Q(run__state__in=UNFINISHED)
_IS_OUTSTANDING = Q(_HAS_ENDED | Q(state=FaultState.OUTSTANDING), state__in=OUTSTANDING_STATES)


class FaultQuerySet(models.QuerySet["Fault"]):
    def to_undo(self) -> Self:
        """Faults that have not been undone, newest first."""
        return self.filter(state__in=STATES_TO_UNDO).order_by("-order")

    def awaited(self) -> Self:
        """Faults that were undone but whose injection may still arrive, newest first."""
        return self.filter(state__in=STATES_AWAITED).order_by("-order")

    def still_open(self) -> Self:
        """Faults that are open in the ledger, newest first."""
        return self.filter(state__in=OPEN_STATES).order_by("-order")

    def outstanding(self) -> Self:
        """Faults that may still be injected and that their run is not about to undo.

        These are faults of ended runs, until they are undone or seen to be gone, and faults of running runs
        whose undo has failed. `Fault.is_outstanding` says the same for one fault.
        """
        return self.filter(_IS_OUTSTANDING)

    def not_outstanding(self) -> Self:
        """Every other fault."""
        return self.exclude(_IS_OUTSTANDING)

    def left_behind(self) -> Self:
        """Open faults of ended runs; the watchdog undoes them."""
        return self.filter(_HAS_ENDED, state__in=OPEN_STATES)

    def rollback(self) -> Rollback:
        """The rollback of a run with these faults."""
        states = set(self.filter(state__in=OPEN_STATES).values_list("state", flat=True))
        if not states.isdisjoint(STATES_TO_UNDO):
            return Rollback.DIRTY
        return Rollback.UNVERIFIED if FaultState.UNVERIFIED in states else Rollback.CLEAN

    def on_host(self, host: str) -> Self:
        """Faults that a process on this host can undo."""
        return self.filter(host__in=("", host))

    def due(self, now: datetime) -> Self:
        """Faults to try now, including those whose next try is far ahead because the clock was set back."""
        ahead = now + timedelta(seconds=MAX_RETRY_DELAY)
        retried = Q(state__in=STATES_TO_UNDO) & (Q(next_try_at__isnull=True) | Q(next_try_at__gt=ahead))
        # There are few such rows, each with its own time limit.
        times = self.filter(state__in=STATES_AWAITED).values_list("pk", "next_try_at", "late_seconds")
        too_far = [pk for pk, at, late in times if at is None or at > now + timedelta(seconds=late)]
        return self.left_behind().filter(retried | Q(next_try_at__lte=now) | Q(pk__in=too_far))


class Fault(models.Model):
    """An entry of the ledger, written before the fault is injected, with the step that undoes it."""

    run = models.ForeignKey(Run, models.PROTECT, related_name="faults")
    order = models.PositiveIntegerField(help_text="Position in the order of injection within the run.")
    phase = models.CharField(max_length=200)
    action = models.CharField(max_length=200)
    driver = models.CharField(max_length=63)
    service = models.CharField(max_length=63, blank=True)
    services = models.JSONField(
        default=list, help_text="The services that it touches; held until it is undone."
    )
    host = models.CharField(
        max_length=63,
        blank=True,
        default="",
        db_default="",
        help_text="Only a process on this host can undo it; empty if any process can.",
    )
    undo = models.JSONField(help_text="Driver and arguments of the step that undoes the fault.")
    proof = models.JSONField(null=True, blank=True, help_text="The probe that shows that the fault is gone.")
    address = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="The address of the undo's service when the fault was injected.",
    )
    timeout = models.FloatField(help_text="Timeout of one undo in seconds.")
    late_seconds = models.FloatField(
        default=0.0,
        db_default=0.0,
        help_text="How many seconds an unanswered injection may still arrive.",
    )
    late_until = models.DateTimeField(
        null=True, blank=True, help_text="When an unanswered injection is undone again."
    )
    fault_id = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="The id under which a fault driver's target knows the fault.",
    )
    target = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="Where a fault driver has injected it, in words.",
    )
    lease_seconds = models.FloatField(
        default=0.0,
        db_default=0.0,
        help_text="How many seconds it lasts without being renewed; 0 if it does not end by itself.",
    )
    renewed_at = models.DateTimeField(null=True, blank=True, help_text="When its lease was last renewed.")
    state = models.CharField(max_length=12, choices=build_choices(FaultState), default=FaultState.INJECTING)
    reason = models.TextField(blank=True, help_text="Why the last undo failed or nothing was injected.")
    undo_tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    retry_requested_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody last asked to undo it at once."
    )
    opened_at = models.DateTimeField()
    injected_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)

    objects = FaultQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at"]
        permissions = [("acknowledge_fault", "Can acknowledge a fault that could not be undone")]
        # The last three are for each filter of the lists, and have the columns of the others: what matches
        # nothing together is found without a look at the rows.
        indexes = [
            models.Index(fields=["state", "next_try_at"]),
            models.Index(fields=["-opened_at"]),
            models.Index(fields=["state", "-id", "service", "driver"]),
            models.Index(fields=["service", "-id", "state", "driver"]),
            models.Index(fields=["driver", "-id", "state", "service"]),
        ]
        constraints = [models.UniqueConstraint(fields=["run", "order"], name="fault_order_unique")]

    def __str__(self) -> str:
        return f"{self.action} ({self.state})"

    @property
    def place(self) -> str:
        """Where its driver has injected it, the service that it names, or the host that it is bound to."""
        return self.target or self.service or (f"host {self.host}" if self.host else "")

    @property
    def expires_at(self) -> datetime | None:
        """When it ends by itself if nobody renews it any more; None if it does not."""
        if not self.lease_seconds:
            return None
        return (self.renewed_at or self.injected_at or self.opened_at) + timedelta(seconds=self.lease_seconds)

    @property
    def end_in_words(self) -> str:
        """What ends the fault if every process of the coordinator is dead."""
        if not self.lease_seconds:
            return "not by itself: a process of the coordinator must undo it"
        return f"by itself, {format_duration(self.lease_seconds)} after its last renewal"

    @property
    def status(self) -> str:
        """The state in words, and what happens next."""
        state = str(self.get_state_display())
        if self.state in STATES_AWAITED and self.late_until is not None:
            return f"{state}, may still arrive until {timezone.localtime(self.late_until):%H:%M:%S}"
        if self.is_retried_by_run:
            return f"{state}, being retried"
        if self.state == FaultState.ACTIVE and self.expires_at is not None:
            return f"{state}, ends by itself at {timezone.localtime(self.expires_at):%H:%M:%S} unless renewed"
        return state

    @property
    def has_expired(self) -> bool:
        """Whether it has ended by itself, because nobody has renewed it, and nobody has seen yet that it is
        gone.
        """
        expires_at = self.expires_at
        return self.state == FaultState.OUTSTANDING and expires_at is not None and expires_at < timezone.now()

    @property
    def is_awaited(self) -> bool:
        """Whether it was undone, but its injection may still arrive."""
        return self.state in STATES_AWAITED

    @property
    def is_retried_by_run(self) -> bool:
        """Whether the run goes on, and a process that is alive carries it out."""
        if self.state != FaultState.OUTSTANDING or self.run.state not in UNFINISHED:
            return False
        return self.run.lease_until is not None and self.run.lease_until >= timezone.now()

    @property
    def is_outstanding(self) -> bool:
        has_ended = self.run.state not in UNFINISHED
        return self.state == FaultState.OUTSTANDING or (has_ended and self.state in OUTSTANDING_STATES)


class Hold(models.Model):
    """A service that only this run may use, until none of its faults is left there or may still arrive."""

    # The name of a service, with an environment after "@" perhaps, or of an address, of a host after "host/",
    # or of a container after "container/".
    service = models.CharField(max_length=127, primary_key=True)
    run = models.ForeignKey(Run, models.CASCADE, related_name="holds")

    def __str__(self) -> str:
        if self.run.state != RunState.FINISHED:
            return str(self.run)
        if self.run.rollback == Rollback.DIRTY:
            return f"{self.run} with a fault that is not undone"
        return f"{self.run} with an unanswered fault that may still arrive"
