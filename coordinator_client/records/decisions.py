"""Approvals, webhooks, tokens and the global stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator_client.records.record import Record
from coordinator_client.records.scenarios import PlannedStep

WEBHOOK_EVENTS = (
    "run.awaiting_approval",
    "run.started",
    "run.finished",
    "fault.outstanding",
    "fault.resolved",
)
WEBHOOK_KINDS = ("webhook", "slack", "teams", "pagerduty", "email")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Record):
    """Belongs to a run or to a schedule; the other field is None. `steps` is empty in lists."""

    id: int
    state: str
    run: str | None
    schedule: str | None
    scenario: str
    services: Sequence[str]
    asked_by: str
    asked_at: datetime
    expires_at: datetime | None
    decided_by: str
    reason: str
    environment: str = ""
    url: str = ""
    problem: str = ""
    steps: Sequence[PlannedStep] = ()
    decided_at: datetime | None = None
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Record):
    """One message of a webhook; `status` is the receiver's last HTTP status, None without a response."""

    message: str
    state: str
    tries: int
    status: int | None
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook(Record):
    """`secret` is set only if it has just been made; `last_deliveries` is empty in lists."""

    id: int
    name: str
    kind: str = "webhook"
    url: str
    key: str = ""
    events: Sequence[str]
    tags: Sequence[str]
    enabled: bool
    disabled_because: str = ""
    secret: str = field(default="", repr=False)
    last_deliveries: Sequence[Delivery] = ()
    created_at: datetime | None = None
    changed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(Record):
    """A token without its secret; `beginning` are its first characters."""

    id: int
    name: str
    beginning: str
    scopes: Sequence[str]
    state: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Record):
    """Who asks; `token` is None on the coordinator's own machine."""

    user: str
    permissions: Sequence[str]
    token: Token | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalStop(Record):
    pulled: bool
    pulled_by: str = ""
    reason: str = ""
