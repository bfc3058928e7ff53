"""Writes what the outside is to be told, in the transaction of the change that it tells of.

So nothing is lost when the power goes, and nothing is told that did not happen. It is sent later, by
somebody else: no run waits for a receiver.
"""

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Any

from django.conf import settings
from django.db import connection

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import STATES_AWAITED, FaultState, Rollback, RunState
from scenarios.domain.outputs import json_text
from scenarios.domain.webhooks import Message
from scenarios.models import Delivery, Fault, Run, Webhook
from scenarios.ports import Event

# By the kind of the event in the run's journal.
MESSAGES = {
    EventKind.APPROVAL_ASKED: Message.RUN_AWAITING_APPROVAL,
    EventKind.RUN_STARTED: Message.RUN_STARTED,
    EventKind.RUN_FINISHED: Message.RUN_FINISHED,
}
# Messages should stay below 20 kB, by the specification.
MAX_REASON_LENGTH = 2000


def tell(run: Run, event: Event) -> None:
    """Tell of the event whoever wants to know. Must be called in the transaction that writes it."""
    if (message := MESSAGES.get(event.kind)) is None:
        return
    _write(message, run, event.at, {"run": facts_of(run)})
    if message is Message.RUN_FINISHED and run.rollback == Rollback.DIRTY:
        for fault in Fault.objects.to_undo().filter(run=run):
            _tell_of_fault(Message.FAULT_OUTSTANDING, fault, run, event.at)


def tell_of_change(fault_id: int, run: Run, *, before: FaultState, at: datetime) -> None:
    """Tell that a fault is over, or back, in the transaction in which its state changed from `before`."""
    fault = Fault.objects.get(id=fault_id)
    has_ended = run.state == RunState.FINISHED
    if has_ended and before in STATES_AWAITED and fault.state == FaultState.OUTSTANDING:
        _tell_of_fault(Message.FAULT_OUTSTANDING, fault, run, at)
    if fault.state not in {FaultState.UNDONE, FaultState.ACKNOWLEDGED} or fault.closed_at is None:
        return
    # What nobody was told of is not resolved: it was undone once, and undone again to be sure.
    if has_ended and (before not in STATES_AWAITED or fault.undo_tries):
        _tell_of_fault(Message.FAULT_RESOLVED, fault, run, fault.closed_at)
    if settings.GRAFANA_URL:
        delivery = Delivery(run=run, message=Message.ANNOTATION)
        delivery.payload = _as_json(annotation(fault, run, fault.closed_at, delivery.message_id))
        delivery.save(force_insert=True)


def message_text(message: Message, at: datetime, data: dict[str, Any]) -> str:
    """The body, written once: every try sends the same bytes."""
    return _as_json({"type": message, "timestamp": at.isoformat(), "data": data})


def facts_of(run: Run) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "scenario": run.scenario_name,
        "state": run.state,
        "outcome": run.outcome,
        "rollback": run.rollback,
        "reason": run.reason[:MAX_REASON_LENGTH],
        "waiting_for": run.waiting_for,
        "attempt": run.attempt,
        "sequence": run.last_event,
        "started_by": run.started_by.get_username() if run.started_by is not None else "",
        "started_from": run.started_from,
        "queued_at": run.queued_at.isoformat(),
        "claimed_at": run.claimed_at.isoformat() if run.claimed_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "url": page_of(run),
    }


def page_of(run: Run) -> str:
    # Not by `reverse`: a worker would load every page and the whole API for it.
    return f"{settings.PUBLIC_URL}/admin/scenarios/run/{run.id}/change/"


def annotation(fault: Fault, run: Run, until: datetime, message_id: str) -> dict[str, Any]:
    """The fault's window as Grafana takes it; the message's id among the tags tells whether it is there.

    https://grafana.com/docs/grafana/latest/developers/http_api/annotations/#create-annotation
    """
    link = f'<a href="{escape(page_of(run))}">run {run.short_id}</a>'
    service = [f"service:{fault.service}"] if fault.service else []
    return {
        "time": _milliseconds(fault.injected_at or fault.opened_at),
        "timeEnd": _milliseconds(until),
        "tags": ["test-coordinator", "fault", f"scenario:{run.scenario_name}", *service, message_id],
        "text": f"{escape(fault.action)} ({escape(run.scenario_name)}, {link})",
    }


def _tell_of_fault(message: Message, fault: Fault, run: Run, at: datetime) -> None:
    facts = {
        "action": fault.action,
        "phase": fault.phase,
        "service": fault.service,
        "host": fault.host,
        "state": fault.state,
        "reason": fault.reason[:MAX_REASON_LENGTH],
        "opened_at": fault.opened_at.isoformat(),
        "closed_at": fault.closed_at.isoformat() if fault.closed_at else None,
        "url": f"{settings.PUBLIC_URL}/admin/scenarios/fault/{fault.pk}/change/",
    }
    _write(message, run, at, {"fault": facts, "run": facts_of(run)})


def _write(message: Message, run: Run, at: datetime, data: dict[str, Any]) -> None:
    wanting = [webhook for webhook in _enabled() if wants(webhook, message, run)]
    if wanting:
        payload = message_text(message, at, data)
        Delivery.objects.bulk_create(
            Delivery(webhook=webhook, run=run, message=message, payload=payload) for webhook in wanting
        )


def _enabled() -> Iterable[Webhook]:
    rows = Webhook.objects.filter(is_enabled=True)
    if connection.vendor != "postgresql":
        return rows
    # One that is deleted before this commits would take the run's event with it: its foreign key is looked
    # at last. This lock lets others tell, too, but nobody delete; Django has no word for it.
    sql, parameters = rows.query.sql_with_params()
    return Webhook.objects.raw(f"{sql} FOR KEY SHARE", parameters)


def wants(webhook: Webhook, message: Message, run: Run) -> bool:
    if message not in webhook.events:
        return False
    tags = run.scenario.tags if webhook.tags and run.scenario is not None else []
    return not webhook.tags or not set(webhook.tags).isdisjoint(tags)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _as_json(value: Any) -> str:
    return json_text(value, separators=(",", ":"))
