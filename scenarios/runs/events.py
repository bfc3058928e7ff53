"""Writes a run's events: numbered without a gap, and in a reduced form where the database refuses one.

The state of a fault or of a run is in the same transaction as its event. An event that cannot be stored,
as a text that the database's encoding lacks, must never keep that state from being written: the run would be
taken over again and again, and its fault would not be seen.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max

from scenarios.database.errors import UNSTORABLE, is_refused
from scenarios.domain.event_kinds import find_kinds
from scenarios.domain.outcomes import FaultState
from scenarios.domain.outputs import make_ascii
from scenarios.models import Event as EventRow
from scenarios.models import Run
from scenarios.notifications import outbox
from scenarios.ports import Event

logger = logging.getLogger(__name__)

MAX_NAME = 200  # what the columns take


def take_numbers(count: int = 1) -> dict[str, Any]:
    """The change of the run's row that takes the next numbers; part of the UPDATE that the events report.

    So a conditional UPDATE decides, locks the row and takes the numbers at once, and no number is lost or
    given twice. The row is read again before the events are written.
    """
    return {"last_event": F("last_event") + count}


def write_event(run: Run, event: Event) -> None:
    """Write the event as number `run.last_event`; must be called in the transaction of what it reports."""
    write_events(run, [event])


def write_events(run: Run, events: Sequence[Event]) -> None:
    """Write the events; `run.last_event` is the number of the last one."""
    first = run.last_event - len(events) + 1
    numbered = list(enumerate(events, start=first))
    rows = [_row(run, number, event) for number, event in numbered]
    if not _is_stored(partial(EventRow.objects.bulk_create, rows)):
        for number, event in numbered:
            _write_one(run, number, event)
    for number, event in numbered:
        run.last_event = number
        if event.kind in outbox.MESSAGES and not _is_stored(partial(outbox.write_messages, run, event)):
            logger.error("The message about %s of run %s could not be stored", event.kind, run.id)


def find_event(run_id: UUID, event: Event) -> EventRow | None:
    """The row of this event, by its moment: the end of an undo is reported in one of several kinds."""
    names = (event.subject[:MAX_NAME], make_ascii(event.subject)[:MAX_NAME])
    rows = EventRow.objects.filter(run=run_id, at=event.at, subject__in=names)
    return rows.filter(kind__in=find_kinds(event.kind.topic)).first()


def announce_change(fault_id: int, run: Run, *, before: FaultState, at: datetime) -> None:
    """Notify webhooks that a fault is over, or back. A message that cannot be stored fails nothing else."""
    if not _is_stored(partial(outbox.write_fault_messages, fault_id, run, before=before, at=at)):
        logger.error("The message about fault %s of run %s could not be stored", fault_id, run.id)


def store_or_reduce(store: Callable[..., object], **texts: str) -> None:
    """Call `store` with the texts; if the database refuses them, with what every encoding can store."""
    if not _is_stored(partial(store, **texts)):
        store(**{name: make_ascii(text) for name, text in texts.items()})


def _write_one(run: Run, number: int, event: Event) -> None:
    if _is_stored(_row(run, number, event).save):
        return
    logger.error("Event %s %s of run %s is stored in a reduced form", number, event.kind, run.id)
    row = _row(run, number, _reduced(event))
    if not _is_stored(row.save):
        # The number is taken, for example after a partial restore: go on after the last one.
        row.sequence = (EventRow.objects.filter(run=run).aggregate(last=Max("sequence"))["last"] or 0) + 1
        row.save(force_insert=True)
        Run.objects.filter(id=run.id).update(last_event=row.sequence)


def _is_stored(store: Callable[[], object]) -> bool:
    """Whether it could be stored. In a savepoint: PostgreSQL refuses all that follows an error otherwise."""
    try:
        with transaction.atomic():
            store()
    except UNSTORABLE as error:
        if not is_refused(error):
            raise
        logger.warning("The database refuses what was to be written: %s: %s", type(error).__name__, error)
        return False
    return True


def _row(run: Run, number: int, event: Event) -> EventRow:
    return EventRow(
        run=run,
        sequence=number,
        kind=event.kind,
        at=event.at,
        phase=event.phase[:MAX_NAME],
        subject=event.subject[:MAX_NAME],
        detail=dict(event.detail),
    )


def _reduced(event: Event) -> Event:
    detail: Mapping[str, Any] = make_ascii(dict(event.detail))
    note = "the database could not store this event as it was"
    return replace(
        event,
        phase=make_ascii(event.phase),
        subject=make_ascii(event.subject),
        detail={**detail, "reduced": note},
    )
