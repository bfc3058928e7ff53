"""What the verbs `service`, `host` and `schedule` ask of a coordinator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from coordinator_client.records import Check, Discovery, Host, Schedule, Service

REPLACE_HINT = "Add '--replace' to change it."


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """What to store of a service; None leaves a value as it is, or at its default."""

    name: str
    base_url: str
    description: str | None = None
    health_path: str | None = None
    protected: bool | None = None
    proxy: str | None = None
    proxy_listener: str | None = None
    proxy_secret: str | None = None
    tls: Mapping[str, Any] | None = None
    auth: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class HostRequest:
    """What to store of a host; None leaves a value as it is, or at its default."""

    name: str
    address: str | None = None
    labels: Mapping[str, str] | None = None
    description: str | None = None
    protected: bool | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """Runs a scenario or a suite; the other one is empty. `window` are two times of day, as '02:00'."""

    name: str
    cron: str
    scenario: str = ""
    suite: str = ""
    time_zone: str = "UTC"
    variables: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    window: tuple[str, str] | None = None
    environment: str = ""

    def list_fields(self) -> dict[str, Any]:
        """Further fields of the API; defaults are left out, because older coordinators know fewer."""
        fields: dict[str, Any] = {"time_zone": self.time_zone, "variables": dict(self.variables)}
        if self.window:
            fields |= {"window_from": self.window[0], "window_to": self.window[1]}
        wanted = {"suite": self.suite, "priority": self.priority, "environment": self.environment}
        return {**fields, **{name: value for name, value in wanted.items() if value}}


class Registrations(Protocol):
    """All methods may raise CoordinatorError."""

    def list_services(self) -> Sequence[Service]: ...

    def find_service(self, name: str) -> Service: ...

    def save_service(self, request: ServiceRequest, *, replace: bool) -> Service:
        """Register a service; change a registered one only with `replace`."""
        ...

    def remove_service(self, name: str) -> None: ...

    def check_service(self, name: str) -> Sequence[Check]:
        """Check the address, the health and the fault proxy of a service, from the coordinator."""
        ...

    def discover_services(self, engine: str, project: str) -> Discovery:
        """Ask the coordinator's container engines, or one of them, for the services of compose projects."""
        ...

    def list_hosts(self) -> Sequence[Host]: ...

    def find_host(self, name: str) -> Host: ...

    def save_host(self, request: HostRequest, *, replace: bool) -> Host:
        """Register a host; change a registered one only with `replace`."""
        ...

    def remove_host(self, name: str) -> None: ...

    def check_host(self, name: str) -> Sequence[Check]:
        """Check whether the coordinator reaches a host."""
        ...

    def list_schedules(self) -> Sequence[Schedule]: ...

    def find_schedule(self, name: str) -> Schedule: ...

    def save_schedule(self, request: ScheduleRequest, by: str) -> Schedule:
        """Create or replace a schedule, which starts runs in the name of `by`, or if empty, of the caller."""
        ...

    def remove_schedule(self, name: str) -> None: ...

    def pause_schedule(self, name: str, *, paused: bool) -> Schedule:
        """Pause or resume the schedule, and return it."""
        ...
