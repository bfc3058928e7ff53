"""The registered services by the places that their addresses lead to: protection, holds and
ONLY_REGISTERED_SERVICES all ask here which of them a connection reaches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from scenarios.addresses import Endpoint, Place, endpoint_of, names, places_of
from scenarios.domain.plan import Step, named_services, named_urls
from scenarios.models import Service

MAX_NAME_LENGTH = 63


@dataclass(frozen=True, slots=True)
class Registered:
    name: str
    base_url: str
    is_protected: bool
    protected_since: datetime | None


@dataclass(frozen=True, slots=True)
class Targets:
    """What steps name: services, and endpoints of their own."""

    services: frozenset[str]
    endpoints: frozenset[Endpoint]

    @classmethod
    def of(cls, steps: Iterable[Step], more: Iterable[Endpoint] = ()) -> Self:
        told = list(steps)
        # A longer one is no service's name, and could not be held: its step will say so.
        services = {name for name in named_services(told) if len(name) <= MAX_NAME_LENGTH}
        endpoints = {endpoint for url in named_urls(told) if (endpoint := endpoint_of(url)) is not None}
        return cls(frozenset(services), frozenset(endpoints) | frozenset(more))

    def as_json(self) -> dict[str, Any]:
        return {"services": sorted(self.services), "endpoints": sorted(map(list, self.endpoints))}

    @classmethod
    def from_json(cls, written: Any) -> Self:
        """Of a run that was queued by an earlier version: none."""
        told = written or {}
        endpoints = ((str(host), int(port)) for host, port in told.get("endpoints", ()))
        return cls(frozenset(told.get("services", ())), frozenset(endpoints))


class Registry:
    """The services as they are registered when this is made; without `lookups` no name server is asked."""

    def __init__(self, services: Sequence[Registered], *, lookups: bool = True) -> None:
        self.services = {service.name: service for service in services}
        found = {service.name: endpoint_of(service.base_url) for service in services}
        endpoints = {name: endpoint for name, endpoint in found.items() if endpoint is not None}
        if lookups:
            names.resolve(host for host, _ in endpoints.values())  # side by side
        self._places = {name: places_of(endpoint, lookups=False) for name, endpoint in endpoints.items()}
        self._names: dict[Place, set[str]] = {}
        for name, places in self._places.items():
            for place in places:
                self._names.setdefault(place, set()).add(name)

    def services_at(self, places: Iterable[Place]) -> set[str]:
        """The names of all services that are registered there."""
        return set().union(*(self._names.get(place, set()) for place in places))

    def touched(self, targets: Targets) -> set[str]:
        """The named services, and all that are registered at the same places, whatever their spelling."""
        places = {place for name in targets.services for place in self._places.get(name, ())}
        places |= {place for endpoint in targets.endpoints for place in places_of(endpoint, lookups=False)}
        return set(targets.services) | self.services_at(places)

    def protected_at(self, places: Iterable[Place]) -> list[str]:
        return sorted(name for name in self.services_at(places) if self.services[name].is_protected)

    def protected_before(self, moment: datetime | None, places: Iterable[Place]) -> list[str]:
        """Those that were protected there already at that moment."""
        found = ((name, self.services[name].protected_since) for name in self.protected_at(places))
        return [name for name, since in found if since is not None and moment is not None and since <= moment]


def read_services() -> list[Registered]:
    rows = Service.objects.values_list("name", "base_url", "is_protected", "protected_since")
    return [Registered(*row) for row in rows]


def touched_by(targets: Targets, *, lookups: bool = True) -> set[str]:
    """The services that whoever carries this out touches."""
    if lookups:
        names.resolve(host for host, _ in targets.endpoints)
    return Registry(read_services(), lookups=lookups).touched(targets)
