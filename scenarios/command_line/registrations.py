"""What the verbs `service` and `host` ask of a coordinator, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """`held_by` is the id of a run, or None. The names are those of the API."""

    name: str
    base_url: str
    description: str
    health_path: str
    health_status: int | None
    protected: bool
    proxy: str
    proxy_listener: str
    proxy_secret: str
    held_by: str | None = None
    touched_by: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """`address` is empty for the machine of the worker itself."""

    name: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    protected: bool = False
    held_by: str | None = None


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """One part of a check; `sentence` says how it is."""

    subject: str
    ok: bool
    sentence: str


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


@dataclass(frozen=True, slots=True)
class HostRequest:
    """What to store of a host; None leaves a value as it is, or at its default."""

    name: str
    address: str | None = None
    labels: Mapping[str, str] | None = None
    description: str | None = None
    protected: bool | None = None


class Registrations(Protocol):
    """All methods may raise CommandRefused."""

    def list_services(self) -> Sequence[ServiceFacts]: ...

    def save_service(self, request: ServiceRequest, *, replace: bool) -> ServiceFacts:
        """Register a service; change a registered one only with `replace`."""
        ...

    def remove_service(self, name: str) -> None: ...

    def check_service(self, name: str) -> Sequence[CheckFacts]:
        """Check the address, the health and the fault proxy of a service, from the coordinator."""
        ...

    def list_hosts(self) -> Sequence[HostFacts]: ...

    def save_host(self, request: HostRequest, *, replace: bool) -> HostFacts:
        """Register a host; change a registered one only with `replace`."""
        ...

    def remove_host(self, name: str) -> None: ...

    def check_host(self, name: str) -> Sequence[CheckFacts]:
        """Check whether the coordinator reaches a host."""
        ...
