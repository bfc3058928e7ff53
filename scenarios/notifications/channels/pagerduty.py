"""PagerDuty: events that open and resolve incidents, by the Events API v2.

A fault that is left behind opens an incident, and its undo or acknowledgement resolves it. A run that did not
pass opens one per scenario, and the next run of the scenario that passes resolves it.
https://developer.pagerduty.com/docs/send-alert-event
"""

import json
from typing import Any

from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.domain.outputs import shorten
from scenarios.domain.webhooks import Message
from scenarios.notifications.channels.headline import Headline, Severity

MAX_SUMMARY = 1024
MAX_KEY = 255
EVENTS = frozenset({Message.RUN_FINISHED, Message.FAULT_OUTSTANDING, Message.FAULT_RESOLVED})


def build_events(payload: str, headline: Headline, routing_key: str, message_id: str) -> list[dict[str, Any]]:
    """The events of one message, in their order: a test opens an incident and resolves it at once."""
    message = json.loads(payload)
    kind, data = Message(message["type"]), message["data"]
    if kind is Message.TEST:
        opened = _trigger(headline, routing_key, message_id)
        return [opened, _resolve(routing_key, message_id)]
    if kind is Message.FAULT_OUTSTANDING:
        return [_trigger(headline, routing_key, _fault_key(data))]
    if kind is Message.FAULT_RESOLVED:
        return [_resolve(routing_key, _fault_key(data))]
    run = data["run"]
    key = f"test-coordinator scenario {run['scenario']}"
    has_passed = run["status"] == Outcome.PASSED and run["rollback"] != Rollback.DIRTY
    return [_resolve(routing_key, key) if has_passed else _trigger(headline, routing_key, key)]


def _fault_key(data: dict[str, Any]) -> str:
    return f"test-coordinator fault {data['run']['id']} {data['fault']['id']}"


def _trigger(headline: Headline, routing_key: str, key: str) -> dict[str, Any]:
    return {
        **_event("trigger", routing_key, key),
        "client": "Test Coordinator",
        "client_url": headline.link,
        "links": [{"href": headline.link, "text": "Open in Test Coordinator"}],
        "payload": {
            "summary": shorten(headline.title, MAX_SUMMARY),
            "source": "test-coordinator",
            "severity": Severity(headline.severity),
            "timestamp": headline.at,
            "custom_details": dict(headline.facts),
        },
    }


def _resolve(routing_key: str, key: str) -> dict[str, Any]:
    return _event("resolve", routing_key, key)


def _event(action: str, routing_key: str, key: str) -> dict[str, Any]:
    return {"routing_key": routing_key, "event_action": action, "dedup_key": key[:MAX_KEY]}
