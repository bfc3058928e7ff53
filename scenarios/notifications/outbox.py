"""Writes messages to the outbox, in the transaction of the change that they report.

So a power cut loses no message, and no message reports what did not happen. The watchdog sends them later: no
run waits for a receiver.
"""

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Any

from django.conf import settings
from django.db import connection

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import STATES_AWAITED, FaultState, Rollback, RunState
from scenarios.domain.outputs import dump_json
from scenarios.domain.webhooks import Message
from scenarios.models import Delivery, Fault, Run, Webhook
from scenarios.ports import Event
from scenarios.published.records import (
    add_earlier_run_names,
    format_time,
    json_fields,
    page_url,
    record_fault,
    record_run,
)

# By kind of event in the run's journal.
MESSAGES = {
    EventKind.APPROVAL_ASKED: Message.RUN_AWAITING_APPROVAL,
    EventKind.RUN_STARTED: Message.RUN_STARTED,
    EventKind.RUN_FINISHED: Message.RUN_FINISHED,
}
# The Standard Webhooks specification recommends messages below 20 kB.
MAX_REASON_LENGTH = 2000


def write_messages(run: Run, event: Event) -> None:
    """Write the event's messages to subscribed webhooks. Call it in the event's own transaction."""
    if (message := MESSAGES.get(event.kind)) is None:
        return
    _write_message(message, run, event.at)
    if message is Message.RUN_FINISHED and settings.TRACES_ENDPOINT:
        # Its spans are made from what is stored, when it is sent.
        Delivery.objects.create(run=run, message=Message.TRACE)
    if message is Message.RUN_FINISHED and run.rollback == Rollback.DIRTY:
        for fault in Fault.objects.to_undo().filter(run=run):
            _write_fault_message(Message.FAULT_OUTSTANDING, fault, run, event.at)


def write_fault_messages(fault_id: int, run: Run, *, before: FaultState, at: datetime) -> None:
    """Write that a fault has ended, or is outstanding again. Call it in the transaction of that change."""
    fault = Fault.objects.get(id=fault_id)
    has_ended = run.state == RunState.FINISHED
    if has_ended and before in STATES_AWAITED and fault.state == FaultState.OUTSTANDING:
        _write_fault_message(Message.FAULT_OUTSTANDING, fault, run, at)
    if fault.state not in {FaultState.UNDONE, FaultState.ACKNOWLEDGED} or fault.closed_at is None:
        return
    # A fault that was undone twice, only to be sure, was never reported as outstanding.
    if has_ended and (before not in STATES_AWAITED or fault.undo_tries):
        _write_fault_message(Message.FAULT_RESOLVED, fault, run, fault.closed_at)
    if settings.GRAFANA_URL:
        delivery = Delivery(run=run, message=Message.ANNOTATION)
        delivery.payload = _format_json(build_annotation(fault, run, fault.closed_at, delivery.message_id))
        delivery.save(force_insert=True)


def format_message(message: Message, at: datetime, data: dict[str, Any]) -> str:
    """The body of a message. It is stored, so that every try sends the same bytes."""
    return _format_json({"type": message, "timestamp": format_time(at), "data": data})


def describe_run(run: Run) -> dict[str, Any]:
    """The run's fields without its variables: they may be long, and messages should stay short."""
    fields = json_fields(record_run(run))
    del fields["variables"]
    fields["reason"] = run.reason[:MAX_REASON_LENGTH]
    return add_earlier_run_names(fields, sequence="last_event", claimed_at="started_at")


def describe_fault(fault: Fault) -> dict[str, Any]:
    return {**json_fields(record_fault(fault)), "reason": fault.reason[:MAX_REASON_LENGTH]}


def build_annotation(fault: Fault, run: Run, until: datetime, message_id: str) -> dict[str, Any]:
    """The fault's window as a Grafana annotation, with the message id as a tag to find it again.

    https://grafana.com/docs/grafana/latest/developers/http_api/annotations/#create-annotation
    """
    link = f'<a href="{escape(page_url(run))}">run {run.short_id}</a>'
    service = [f"service:{fault.service}"] if fault.service else []
    return {
        "time": _to_milliseconds(fault.injected_at or fault.opened_at),
        "timeEnd": _to_milliseconds(until),
        "tags": ["test-coordinator", "fault", f"scenario:{run.scenario_name}", *service, message_id],
        "text": f"{escape(fault.action)} ({escape(run.scenario_name)}, {link})",
    }


def _write_fault_message(message: Message, fault: Fault, run: Run, at: datetime) -> None:
    fault.run = run
    _write_message(message, run, at, fault)


def _write_message(message: Message, run: Run, at: datetime, fault: Fault | None = None) -> None:
    wanting = [webhook for webhook in _list_enabled_webhooks() if is_wanted(webhook, message, run)]
    if wanting:
        about_fault = {} if fault is None else {"fault": describe_fault(fault)}
        payload = format_message(message, at, {**about_fault, "run": describe_run(run)})
        Delivery.objects.bulk_create(
            Delivery(webhook=webhook, run=run, message=message, payload=payload) for webhook in wanting
        )


def _list_enabled_webhooks() -> Iterable[Webhook]:
    rows = Webhook.objects.filter(is_enabled=True)
    if connection.vendor != "postgresql":
        return rows
    # If a webhook were deleted before this commits, its foreign key would fail and roll back the run's
    # event, too. FOR KEY SHARE prevents only that. Django has no API for it.
    sql, parameters = rows.query.sql_with_params()
    return Webhook.objects.raw(f"{sql} FOR KEY SHARE", parameters)


def is_wanted(webhook: Webhook, message: Message, run: Run) -> bool:
    if message not in webhook.events:
        return False
    tags = run.scenario.tags if webhook.tags and run.scenario is not None else []
    return not webhook.tags or not set(webhook.tags).isdisjoint(tags)


def _to_milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _format_json(value: Any) -> str:
    return dump_json(value, separators=(",", ":"))
