"""What is registered for scenarios to act on, and schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator_client.records.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Record):
    """`held_by` is the id of a run, or None; scenarios in `probed_by` only look at the service."""

    name: str
    base_url: str
    description: str
    protected: bool
    health_path: str = ""
    health_status: int | None = None
    proxy: str = ""
    proxy_listener: str = ""
    proxy_secret: str = ""
    tls: Mapping[str, Any] = field(default_factory=dict, hash=False)
    auth: Mapping[str, Any] = field(default_factory=dict, hash=False)
    held_by: str | None = None
    touched_by: Sequence[str] = ()
    probed_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment(Record):
    """`services` has the words of each service there, by name."""

    name: str
    services: Mapping[str, Any] = field(hash=False)
    description: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowList(Record):
    """`allowed` is what steps may use now, within `bound`. `entries` is None if nobody has narrowed it."""

    name: str
    setting: str
    bound: Sequence[str]
    entries: Sequence[str] | None
    allowed: Sequence[str]
    changed_at: datetime | None = None
    changed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Record):
    """`address` is empty for the worker's own machine."""

    name: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    description: str = ""
    protected: bool = False
    held_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredService(Record):
    """One port of a service of a compose project; `registered` is empty if no service is at its `urls`."""

    name: str
    engine: str
    project: str
    service: str
    port: int
    containers: Sequence[str] = ()
    urls: Sequence[str] = ()
    registered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery(Record):
    """`failures` has a sentence for each container engine that could not be asked."""

    services: Sequence[DiscoveredService] = ()
    failures: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Record):
    """One part of a check of a service or host; `sentence` says how it is."""

    subject: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Record):
    """Runs a scenario or a suite; the other one is empty. `next_at` is None while it is paused."""

    name: str
    scenario: str
    cron: str
    time_zone: str
    paused: bool
    next_at: datetime | None
    changed_by: str | None
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)
    environment: str = ""
    in_words: str = ""
    obstacle: str = ""
    suite: str = ""
    window_days: Sequence[int] = ()
    window_from: str | None = None
    window_to: str | None = None
    grace_minutes: int = 0
    priority: int = 0
    url: str = ""
    created_at: datetime | None = None
    changed_at: datetime | None = None
    next_times: Sequence[datetime] = ()
    last_times: Sequence[Mapping[str, Any]] = field(default=(), hash=False)
    approval: int | None = None

    @property
    def subject(self) -> str:
        """What it runs, as shown to users."""
        return f"suite {self.suite}" if self.suite else self.scenario
