"""Deletes scenarios, people, schedules and webhooks to which many rows refer, in short transactions.

Django would change or delete all of these rows in one transaction; on SQLite, nobody could write meanwhile.
Instead, a request is stored, which keeps the scenario or person from being used, and the watchdog carries it
out.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import CASCADE, Model, ProtectedError, Q, QuerySet
from django.utils import timezone
from django.utils.text import capfirst

from scenarios.access import audit
from scenarios.domain.counts import format_count
from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.outcomes import RunState
from scenarios.models import (
    Approval,
    DeletionRequest,
    Delivery,
    Fault,
    Run,
    Scenario,
    Schedule,
    ScheduledTime,
    Suite,
    SuiteRun,
    Webhook,
)
from scenarios.runs.approval_gate import format_user_name

# What has fewer references is deleted at once.
MAX_AT_ONCE = 500
# How long a batch may keep other writers waiting, and how long they have to themselves after it, at least.
BATCH_SECONDS = 0.1
REST_SECONDS = 0.02
FIRST_ROWS, MIN_ROWS, MAX_ROWS = 50, 10, 2_000
# A watchdog that is at work shows within this time that it is.
LOOK_SECONDS = 1.0
Owner = Scenario | User | Schedule | Webhook
KINDS: Mapping[type[Owner], str] = {
    Scenario: "scenario",
    User: "person",
    Schedule: "schedule",
    Webhook: "webhook",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows that refer to what is deleted, and outlive it or not, as Django would have it."""

    model: type[Model]
    name: str
    condition: Q = field(default_factory=Q)

    def select(self, owner: Owner) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._base_manager.filter(self.condition, **{self.name: owner.pk})  # noqa: SLF001 - documented by Django
        return rows.order_by()

    def clear(self, rows: QuerySet[Any]) -> int:
        """Let the rows refer to nobody, or delete them; returns how many."""
        field: Any = self.model._meta.get_field(self.name)  # noqa: SLF001 - documented by Django
        if field.remote_field.on_delete is CASCADE:
            return rows.delete()[0]
        return rows.update(**{self.name: None})


ENDED = Q(state=RunState.FINISHED)
# Those of which there may be many. All others go with the row itself.
REFERENCES: Mapping[type[Owner], Sequence[Reference]] = {
    Scenario: (Reference(Run, "scenario", ENDED),),
    User: (
        Reference(Run, "started_by", ENDED),
        Reference(SuiteRun, "started_by"),
        Reference(Approval, "asked_by"),
        Reference(Approval, "decided_by"),
        Reference(Scenario.history.model, "history_user"),
        Reference(Suite.history.model, "history_user"),
        Reference(LogEntry, "user"),
    ),
    Schedule: (
        Reference(Run, "schedule", ENDED),
        Reference(SuiteRun, "schedule"),
        Reference(ScheduledTime, "schedule"),
        Reference(Approval, "schedule"),
    ),
    Webhook: (Reference(Delivery, "webhook"),),
}


class Pace:
    """How many rows a batch of this process has, so that it lasts about BATCH_SECONDS on this machine.

    `left` is how many rows it has last seen to be left.
    """

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self.left: int | None = None

    def note(self, rows: int, seconds: float) -> None:
        fitting = int(rows * BATCH_SECONDS / max(seconds, 0.001))
        self.rows = min(max(fitting, MIN_ROWS), 2 * self.rows, MAX_ROWS)


def count_references(owner: Owner) -> int:
    return sum(reference.select(owner).count() for reference in REFERENCES[type(owner)])


def find_request(owner: Owner) -> DeletionRequest | None:
    return DeletionRequest.objects.filter(**{KINDS[type(owner)]: owner.pk}).first()


@transaction.atomic
def delete_or_request(owner: Owner, *, by: User | None) -> DeletionRequest | None:
    """Delete a person, schedule or webhook, or return the request for it; it then does nothing any more.

    None: it is deleted.
    """
    # Locked first, so that a watchdog finishes a schedule's turn before, and messages are written before.
    locked = type(owner)._base_manager.select_for_update().filter(pk=owner.pk).first()  # noqa: SLF001 - documented by Django
    if locked is None or (request := find_request(locked)) is not None:
        return None if locked is None else request
    if (total := count_references(locked)) > MAX_AT_ONCE:
        request = request_deletion(locked, total, by=by)
        _put_out_of_use(locked)
        return request
    locked.delete()
    return None


def _put_out_of_use(owner: Owner) -> None:
    if isinstance(owner, User):
        User.objects.filter(pk=owner.pk).update(is_active=False)
    elif isinstance(owner, Schedule):
        Schedule.objects.filter(pk=owner.pk).update(is_paused=True, next_at=None)
    elif isinstance(owner, Webhook):
        Webhook.objects.filter(pk=owner.pk).update(is_enabled=False)


def _is_in_use(owner: Owner) -> bool:
    if isinstance(owner, Schedule):
        return not owner.is_paused
    return (
        owner.is_active
        if isinstance(owner, User)
        else owner.is_enabled
        if isinstance(owner, Webhook)
        else True
    )


def _put_into_use(owner: Owner) -> None:
    """As it was before `_put_out_of_use`. A schedule catches nothing up."""
    if isinstance(owner, User):
        User.objects.filter(pk=owner.pk).update(is_active=True)
    elif isinstance(owner, Webhook):
        Webhook.objects.filter(pk=owner.pk).update(is_enabled=True)
    elif isinstance(owner, Schedule):
        with suppress(InvalidSchedule):  # it stays paused
            following = owner.timetable().next_after(timezone.now())
            Schedule.objects.filter(pk=owner.pk).update(is_paused=False, next_at=following)


def request_deletion(owner: Owner, total: int, *, by: User | None) -> DeletionRequest:
    """Must be called in a transaction that has locked the owner's row."""
    return DeletionRequest.objects.create(
        **{KINDS[type(owner)]: owner},
        was_active=_is_in_use(owner),
        requested_by=by,
        requested_by_name=format_user_name(by),
        total=total,
        left=total,
    )


@transaction.atomic
def withdraw_deletion(owner: Owner) -> DeletionRequest | None:
    """Keep what is being deleted, with what still refers to it; returns the request as it was.

    None: it is not being deleted, or is deleted by now. A batch that is under way is waited for.
    """
    kind = KINDS[type(owner)]
    requests = DeletionRequest.objects.select_for_update(of=("self",)).select_related(kind)
    if (request := requests.filter(**{kind: owner.pk}).first()) is None:
        return None
    request.delete()
    if request.was_active:
        _put_into_use(request.owner)
    asked = f"requested by {request.requested_by_name}"
    left = f"{request.left} of {format_count(request.total, 'row')} left"
    audit.note_change(f"deletion of {request.name}", f"{asked}, {left}", "withdrawn")
    return request


def find_removal_obstacle(scenario: Scenario) -> str:
    """Why the scenario cannot be removed now, as the end of a sentence; "" if it can."""
    if (run := scenario.runs.unfinished().first()) is not None:
        return f"its run {run.short_id} is {run.get_state_display()}"
    if (fault := Fault.objects.still_open().filter(run__scenario=scenario).first()) is not None:
        return f"fault {fault.action!r} of its run {fault.run.short_id} is not undone"
    return ""


def list_requests() -> list[int]:
    """The keys of all requests, the oldest first."""
    return list(DeletionRequest.objects.order_by("pk").values_list("pk", flat=True))


def carry_on(key: int, pace: Pace) -> float:
    """Carry out one batch of the request, or delete what it is for if no batch is left.

    Returns the seconds to rest before the next batch; 0.0 if there is none, or none now. A watchdog that sees
    another one at work leaves the request to that one, because nobody could write in the rests of both.
    """
    request = DeletionRequest.objects.select_related(*KINDS.values()).filter(pk=key).first()
    if request is None:
        return 0.0
    if request.left != pace.left:
        is_first_look, pace.left = pace.left is None, request.left
        return LOOK_SECONDS if is_first_look else 0.0
    owner = request.owner
    for reference in REFERENCES[type(owner)]:
        # Found before the transaction begins, in which others may have to wait.
        if keys := _find_rows(reference, owner, pace.rows):
            begun = _clear(key, reference, owner, keys, pace)
            if begun is None:
                return 0.0
            lasted = time.monotonic() - begun
            pace.note(len(keys), lasted)
            return max(lasted, REST_SECONDS)
    _finish(key)
    return 0.0


def _find_rows(reference: Reference, owner: Owner, at_most: int) -> list[Any]:
    """A run that may have left something injected is kept until the last step, which is then refused."""
    rows = reference.select(owner)
    if isinstance(owner, Scenario):
        rows = rows.exclude(pk__in=_list_runs_with_open_faults())
    return list(rows.values_list("pk", flat=True)[:at_most])


def _list_runs_with_open_faults() -> list[UUID]:
    return list(Fault.objects.still_open().order_by().values_list("run", flat=True).distinct())


def _lock(key: int) -> DeletionRequest | None:
    """None if it has been carried out, or another process works on it."""
    return DeletionRequest.objects.select_for_update(skip_locked=True).filter(pk=key).first()


@transaction.atomic
def _clear(key: int, reference: Reference, owner: Owner, keys: Sequence[Any], pace: Pace) -> float | None:
    """The monotonic moment from which others had to wait; None if another process works on it."""
    if (request := _lock(key)) is None:
        return None
    begun = time.monotonic()
    reference.clear(reference.select(owner).filter(pk__in=keys))
    request.left = pace.left = max(request.left - len(keys), 0)
    request.save(update_fields=["left"])
    return begun


@transaction.atomic
def _finish(key: int) -> None:
    if (request := _lock(key)) is None:
        return
    owner, name, kind, obstacle = request.owner, request.name, request.kind, ""
    if isinstance(owner, Scenario):
        obstacle = find_removal_obstacle(owner)
        owner.changed_by = request.requested_by  # the author of the history's last entry
    if not obstacle:
        try:
            with transaction.atomic():
                owner.delete()
        except ProtectedError as error:
            kinds = sorted({str(row._meta.verbose_name) for row in error.protected_objects})  # noqa: SLF001 - documented by Django
            obstacle = f"a {' and a '.join(kinds)} refers to it"
    if obstacle:
        DeletionRequest.objects.filter(pk=key).update(obstacle=obstacle[:500])
        return
    rows = format_count(request.total, "row")
    audit.record_duty(
        request.requested_by_name,
        f"{kind} delete",
        name,
        f"{capfirst(kind)} deleted, as requested at {request.requested_at:%Y-%m-%d %H:%M:%S} UTC; "
        f"{rows} referred to it.",
    )
