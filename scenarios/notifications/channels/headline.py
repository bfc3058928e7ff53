"""A stored message as people read it: a title, a few facts, how bad it is, and a link."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings

from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.domain.webhooks import Message


class Severity(StrEnum):
    """In PagerDuty's words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Headline:
    """`facts` are pairs of a name and a text; empty ones are left out. `at` is an ISO 8601 time in UTC."""

    title: str
    facts: tuple[tuple[str, str], ...]
    severity: Severity
    link: str
    at: str


SEVERITIES = {
    Outcome.PASSED: Severity.INFO,
    Outcome.ABORTED: Severity.WARNING,
    Outcome.INTERRUPTED: Severity.WARNING,
}


def read_headline(payload: str) -> Headline:
    """Make the headline of a message as `outbox.format_message` wrote it."""
    message = json.loads(payload)
    data = message["data"]
    write = _WRITERS[Message(message["type"])]
    title, severity, link, facts = write(data)
    told = tuple((name, str(text)) for name, text in facts.items() if text)
    return Headline(title, told, severity, link, message["timestamp"])


Parts = tuple[str, Severity, str, Mapping[str, Any]]


def _write_started(data: Mapping[str, Any]) -> Parts:
    run = data["run"]
    attempt = run["attempt"] if run["attempt"] > 1 else ""
    return f"{run['scenario']} has started", Severity.INFO, run["url"], {"Attempt": attempt, **_origin(run)}


def _write_awaiting(data: Mapping[str, Any]) -> Parts:
    run = data["run"]
    facts = {"Reason": run["waiting_for"], **_origin(run)}
    return f"{run['scenario']} waits for approval", Severity.WARNING, run["url"], facts


def _write_finished(data: Mapping[str, Any]) -> Parts:
    run = data["run"]
    outcome, rollback = run["status"], run["rollback"]
    is_clean = rollback in {Rollback.CLEAN, None}
    severity = SEVERITIES.get(outcome, Severity.ERROR)
    if rollback == Rollback.DIRTY:
        severity = Severity.CRITICAL
    elif rollback == Rollback.UNVERIFIED and severity is Severity.INFO:
        severity = Severity.WARNING
    title = f"{run['scenario']}: {outcome.replace('_', ' ')}"
    facts = {
        "Reason": run["reason"],
        "Rollback": "" if is_clean else _ROLLBACKS[rollback],
        "Duration": f"{run['duration']:.1f} s" if run["duration"] is not None else "",
        **_origin(run),
    }
    return title, severity, run["url"], facts


_ROLLBACKS = {
    Rollback.DIRTY: "dirty: a fault is still injected",
    Rollback.UNVERIFIED: "unverified: an injection without a response may still arrive",
}


def _write_outstanding(data: Mapping[str, Any]) -> Parts:
    fault = data["fault"]
    title = f"Fault left behind: {fault['action']}{_place(fault)}"
    facts = {"Scenario": fault["scenario"], "Reason": fault["reason"], "Injected": fault["injected_at"]}
    return title, Severity.CRITICAL, fault["url"], {**facts, "Ends by itself": fault["expires_at"]}


def _write_resolved(data: Mapping[str, Any]) -> Parts:
    fault = data["fault"]
    is_undone = fault["state"] == FaultState.UNDONE
    title = f"Fault {'undone' if is_undone else 'acknowledged'}: {fault['action']}{_place(fault)}"
    facts = {
        "Scenario": fault["scenario"],
        "Acknowledged by": fault["acknowledged_by"],
        "Reason": "" if is_undone else fault["reason"],
    }
    return title, Severity.INFO, fault["url"], facts


def _write_test(data: Mapping[str, Any]) -> Parts:
    return f"Test message to {data['webhook']}", Severity.INFO, f"{settings.PUBLIC_URL}/admin/", {}


def _origin(run: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"Started by": run["created_by"] or run["origin"]}


def _place(fault: Mapping[str, Any]) -> str:
    place = fault["target"] or fault["service"] or fault["host"]
    return f" on {place}" if place else ""


_WRITERS = {
    Message.RUN_STARTED: _write_started,
    Message.RUN_AWAITING_APPROVAL: _write_awaiting,
    Message.RUN_FINISHED: _write_finished,
    Message.FAULT_OUTSTANDING: _write_outstanding,
    Message.FAULT_RESOLVED: _write_resolved,
    Message.TEST: _write_test,
}
