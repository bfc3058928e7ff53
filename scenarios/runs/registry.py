"""The registered services by the places that their addresses lead to: protection, holds and
ONLY_REGISTERED_SERVICES all ask here which of them a connection reaches.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Self

from django.db.models import DateTimeField, F, JSONField, Value
from django.utils.crypto import salted_hmac

from scenarios.domain import service_urls
from scenarios.domain.addresses import (
    EVERY_HOST,
    EVERY_PORT,
    Endpoint,
    Place,
    format_hold,
    leads_to_itself,
    names,
    normalize_host,
    parse_endpoint,
    resolve_places,
)
from scenarios.domain.environments import SEPARATOR, name_in
from scenarios.domain.plan import Step, find_services, find_urls
from scenarios.models import Environment, Hold, Service
from scenarios.runs.container_targets import ContainerTargets
from scenarios.runs.host_targets import HostTargets

MAX_NAME_LENGTH = 63
HIDDEN_PREFIX = "address/"
_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Registered:
    name: str
    base_url: str
    is_protected: bool
    protected_since: datetime | None
    proxy: str = ""
    listener: str = ""


@dataclass(frozen=True, slots=True)
class Targets:
    """What steps name: services, endpoints of their own, hosts and containers.

    `reached` is where faults of these hosts break connections, as the hosts are registered now: EVERY_HOST
    and EVERY_PORT are possible there. The services are those of the `environment`.
    """

    services: frozenset[str]
    endpoints: frozenset[Endpoint]
    hosts: HostTargets = field(default_factory=HostTargets)
    containers: ContainerTargets = field(default_factory=ContainerTargets)
    reached: frozenset[Endpoint] = frozenset()
    environment: str = ""

    @classmethod
    def of(cls, steps: Iterable[Step], more: Iterable[Endpoint] = (), environment: str = "") -> Self:
        listed = list(steps)
        # A longer one cannot be a service's name, and could not be held; its step will report it.
        services = {name for name in find_services(listed) if len(name) <= MAX_NAME_LENGTH}
        endpoints = {endpoint for url in find_urls(listed) if (endpoint := parse_endpoint(url)) is not None}
        endpoints |= set(more)
        return cls(frozenset(services), frozenset(endpoints), environment=environment)

    def as_json(self) -> dict[str, Any]:
        named = {"services": sorted(self.services), "endpoints": sorted(map(list, self.endpoints))}
        where = {"environment": self.environment} if self.environment else {}
        return {**named, **self.hosts.as_json(), **self.containers.as_json(), **where}

    @classmethod
    def from_json(cls, written: Any) -> Self:
        """A run that was queued by an earlier version has none."""
        stored = written or {}
        endpoints = ((str(host), int(port)) for host, port in stored.get("endpoints", ()))
        hosts, containers = HostTargets.from_json(stored), ContainerTargets.from_json(stored)
        services, environment = frozenset(stored.get("services", ())), stored.get("environment", "")
        return cls(services, frozenset(endpoints), hosts, containers, environment=environment)


@dataclass(frozen=True, slots=True)
class Held:
    """What runs hold now, by name, and where held services were when their runs began: by name and URL."""

    names: frozenset[str] = frozenset()
    addresses: frozenset[tuple[str, str]] = frozenset()


class Registry:
    """The services as they are registered when this is made; without `lookups` no name server is asked."""

    def __init__(
        self, services: Sequence[Registered], held: Held | None = None, *, lookups: bool = True
    ) -> None:
        self.services = {service.name: service for service in services}
        self._held = held or Held()
        found = {service.name: parse_endpoint(service.base_url) for service in services}
        endpoints = {name: endpoint for name, endpoint in found.items() if endpoint is not None}
        earlier = {(name, parse_endpoint(url)) for name, url in self._held.addresses}
        left = {(name, endpoint) for name, endpoint in earlier if endpoint is not None}
        proxies = [(service.name, endpoint) for service in services for endpoint in _list_proxy(service)]
        if lookups:
            asked = [*endpoints.values(), *(endpoint for _, endpoint in (*left, *proxies))]
            names.resolve(host for host, _ in asked)  # side by side
        self._places = {name: resolve_places(endpoint, lookups=False) for name, endpoint in endpoints.items()}
        self._names = _by_place(self._places.items())
        self._left = _by_place((name, resolve_places(endpoint, lookups=False)) for name, endpoint in left)
        self._proxies = _by_place(
            (name, resolve_places(endpoint, lookups=False)) for name, endpoint in proxies
        )

    def find_services_at(self, places: Iterable[Place]) -> set[str]:
        """The names of all services that are registered there; EVERY_PORT is possible."""
        return set().union(*(self._names.get(place, set()) for place in self._expand(places)))

    def _expand(self, places: Iterable[Place]) -> set[Place]:
        """With the registered places that EVERY_PORT of an address stands for."""
        found = set(places)
        whole = {host for host, port in found if port == EVERY_PORT}
        if not whole:
            return found
        return found | {place for place in (*self._names, *self._left) if place[0] in whole}

    def find_holds_for(self, places: Iterable[Place]) -> set[str]:
        """What a run that acts there holds: the services there, or the addresses where there are none.

        A service that was registered or moved after another run had begun leads to what that run holds.
        """
        asked = set(places)
        found = self.find_services_at(asked).union(
            *(self._left.get(place, set()) for place in self._expand(asked))
        )
        addresses = {name for place in asked if (name := format_hold(place))}
        if found:
            addresses = {
                name for name in addresses if not self._held.names.isdisjoint(list_hold_names([name]))
            }
        return found | addresses

    def touched(self, targets: Targets) -> set[str]:
        """The named services, and all that are registered at the same places, whatever their spelling.

        Also those behind the same listener of a fault proxy, because a fault is theirs, too; and those whose
        connections, or whose proxy's, a fault of a host breaks. Of places where none is registered, the
        addresses.
        """
        named = {name_in(name, targets.environment) for name in targets.services}
        groups = [self._places.get(name, frozenset()) for name in named]
        groups += [resolve_places(endpoint, lookups=False) for endpoint in targets.endpoints]
        found = named.union(*map(self.find_holds_for, groups))
        found |= self._find_reached(targets.reached)
        return found | self._find_sharers_of_listeners(found)

    def _find_reached(self, endpoints: Iterable[Endpoint]) -> set[str]:
        known = (*self._names, *self._left, *self._proxies)
        found: set[str] = set()
        for host, port in endpoints:
            if host == EVERY_HOST or port == EVERY_PORT:
                hosts = {address for address, _ in resolve_places((host, port), lookups=False)}
                places = {
                    place
                    for place in known
                    if (host == EVERY_HOST or place[0] in hosts) and port in {EVERY_PORT, place[1]}
                }
            else:
                places = set(resolve_places((host, port), lookups=False))
            found |= self.find_holds_for(places)
            found = found.union(*(self._proxies.get(place, set()) for place in places))
        return found

    def _find_sharers_of_listeners(self, names: Iterable[str]) -> set[str]:
        listeners = {
            name: (service.proxy.rstrip("/"), service.listener)
            for name, service in self.services.items()
            if service.proxy
        }
        wanted = {listeners[name] for name in names if name in listeners}
        return {name for name, listener in listeners.items() if listener in wanted} if wanted else set()

    def find_protected(self, touched: Iterable[str]) -> list[str]:
        """The protected services of these."""
        return sorted(name for name in touched if name in self.services and self.services[name].is_protected)

    def find_protected_at(self, places: Iterable[Place]) -> list[str]:
        return sorted(name for name in self.find_services_at(places) if self.services[name].is_protected)

    def find_protected_before(self, moment: datetime | None, places: Iterable[Place]) -> list[str]:
        """Those that were protected there already at that moment."""
        found = ((name, self.services[name].protected_since) for name in self.find_protected_at(places))
        return [name for name, since in found if since is not None and moment is not None and since <= moment]


def _list_proxy(service: Registered) -> list[Endpoint]:
    """Where the service's fault proxy listens: its control API, and its listener as the API's host has it."""
    control = parse_endpoint(service.proxy) if service.proxy else None
    if control is None:
        return []
    found = [control]
    with suppress(ValueError):  # no listener is named: it has only one
        place = service_urls.parse_listener(service.listener)
        host = control[0] if leads_to_itself(place.host) else normalize_host(place.host)
        found.append((host, place.port))
    return found


def is_address(target: str) -> bool:
    """Whether this is held as the address of no service."""
    return ":" in target


def hidden(address: str) -> str:
    """How an address is held that no document names: a secret may have decided it, and it is kept nowhere."""
    return HIDDEN_PREFIX + salted_hmac("scenarios.hold", address).hexdigest()[:_DIGITS]


def list_hold_names(targets: Iterable[str]) -> dict[str, str]:
    """All names under which the targets may be held, and the target of each."""
    listed = list(targets)
    return {name: name for name in listed} | {hidden(name): name for name in listed if is_address(name)}


def _by_place(found: Iterable[tuple[str, Iterable[Place]]]) -> dict[Place, set[str]]:
    by_place: dict[Place, set[str]] = {}
    for name, places in found:
        for place in places:
            by_place.setdefault(place, set()).add(name)
    return by_place


def read_held() -> Held:
    rows = list(Hold.objects.values_list("service", "run__addresses"))
    held_at = ((name, str((addresses or {}).get(name, ""))) for name, addresses in rows)
    return Held(frozenset(name for name, _ in rows), frozenset(pair for pair in held_at if pair[1]))


def read_services() -> list[Registered]:
    """The registered services, and those of environments; one query, because each start of a run asks."""
    columns = ("name", "base_url", "is_protected", "protected_since", "proxy", "proxy_listener", "inside")
    registered = Service.objects.order_by().annotate(inside=Value(None, JSONField()))
    environments = Environment.objects.order_by().annotate(
        base_url=Value(""),
        protected_since=Value(None, DateTimeField()),
        proxy=Value(""),
        proxy_listener=Value(""),
        inside=F("services"),
    )
    rows = registered.values_list(*columns).union(environments.values_list(*columns), all=True)
    found = []
    for name, *place, inside in rows:
        if inside is None:
            found.append(Registered(name, *place))
        else:
            found += [_build_own(name_in(service, name), words) for service, words in inside.items()]
    return sorted(found, key=attrgetter("name"))


def _build_own(name: str, words: Mapping[str, Any]) -> Registered:
    since = words.get("protected_since")
    return Registered(
        name,
        words["base_url"],
        bool(words.get("protected")),
        datetime.fromisoformat(since) if since else None,
        words.get("proxy", ""),
        words.get("proxy_listener", ""),
    )


def find_protected_in_environments(names: Iterable[str]) -> list[str]:
    """Those of the names that are protected services of environments."""
    wanted = {name.partition(SEPARATOR)[2] for name in names} - {""}
    if not wanted:
        return []
    rows = Environment.objects.filter(name__in=wanted, is_protected=True).values_list("name", "services")
    protected = {
        name_in(service, environment)
        for environment, services in rows
        for service, words in services.items()
        if words.get("protected")
    }
    return sorted(protected.intersection(names))


def find_touched(targets: Targets, *, lookups: bool = True) -> set[str]:
    """The services and addresses that a run with these targets touches."""
    return read_registry(targets, lookups=lookups).touched(targets)


def read_registry(targets: Targets, *, lookups: bool = True) -> Registry:
    """The registry as it is now, with the targets' hosts resolved."""
    if lookups:
        names.resolve(host for host, _ in (*targets.endpoints, *targets.reached) if host != EVERY_HOST)
    return Registry(read_services(), read_held(), lookups=lookups)
