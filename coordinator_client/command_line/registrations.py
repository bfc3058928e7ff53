"""What the verbs `service`, `host` and `schedule` ask of a coordinator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from coordinator_client.records import Check, Deletion, Discovery, Host, Schedule, Service

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
    """What to store of a schedule; None leaves a value as it is, or at its default.

    It runs a scenario or a suite. `window` are two times of day, as '02:00'; empty texts remove it, and the
    environment. Variables that are not named stay; those in `unset` go.
    """

    name: str
    cron: str | None = None
    scenario: str | None = None
    suite: str | None = None
    time_zone: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    priority: int | None = None
    window: tuple[str, str] | None = None
    environment: str | None = None
    unset: Sequence[str] = ()

    def list_fields(self) -> dict[str, Any]:
        """The fields of the API, as a merge patch; what is not given is left out."""
        fields: dict[str, Any] = {"cron": self.cron, "time_zone": self.time_zone, "priority": self.priority}
        variables = {**dict.fromkeys(self.unset), **self.variables}
        fields |= {"scenario": self.scenario, "suite": self.suite, "variables": variables or None}
        fields = {name: value for name, value in fields.items() if value is not None}
        if self.environment is not None:
            fields["environment"] = self.environment or None
        if self.window is not None:
            fields |= {"window_from": self.window[0] or None, "window_to": self.window[1] or None}
        if self.scenario or self.suite:  # the other one is over
            fields["suite" if self.scenario else "scenario"] = None
        return fields

    def runs_another(self, stored: Schedule) -> bool:
        """Whether this gives the schedule something else to run, which has other variables."""
        return bool(self.scenario or self.suite) and (
            (self.scenario or "", self.suite or "") != (stored.scenario, stored.suite)
        )


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
        """Create a schedule, or change what is given of it.

        It starts runs in the name of `by`, or if empty, of the caller.

        Raises:
            CommandRefused: a new schedule has no times or nothing to run.
        """
        ...

    def remove_schedule(self, name: str) -> Deletion | None:
        """None: it is deleted."""
        ...

    def keep_schedule(self, name: str) -> Deletion:
        """Withdraw its removal. Refused if it is not being deleted."""
        ...

    def pause_schedule(self, name: str, *, paused: bool) -> Schedule:
        """Pause or resume the schedule, and return it."""
        ...
