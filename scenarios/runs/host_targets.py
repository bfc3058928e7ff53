"""Which registered hosts a run touches: those that its steps name or select, and others at the same place.

A run also touches the host of the worker that carries it out, if its steps act there. Which one that is, is
unknown until a worker claims the run.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from scenarios.domain import service_urls
from scenarios.domain.addresses import EVERY_HOST, THIS_HOST, Endpoint, leads_to_itself, names, normalize_host
from scenarios.domain.plan import Step
from scenarios.drivers import hosts
from scenarios.drivers.host_reach import list_reached
from scenarios.models import Host, Run

DRIVER = "host"


@dataclass(frozen=True, slots=True)
class HostTargets:
    """What steps say about hosts. `selections` are the arguments that choose hosts, as JSON.

    `on_worker`: they act on the worker's host; None of a run that an earlier version queued. `reached` are
    the selections with an address and a port each, whose connections a fault of these hosts breaks.
    """

    selections: frozenset[str] = frozenset()
    on_worker: bool | None = False
    reached: frozenset[str] = frozenset()

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Self:
        acting = list(steps)
        chosen = [
            (selection, step.arguments)
            for step in acting
            if step.driver == DRIVER and (selection := _find_selection(step.arguments))
        ]
        selections = frozenset(_dump(selection) for selection, _ in chosen)
        reached = frozenset(
            _dump({**selection, "to": address, "port": port})
            for selection, arguments in chosen
            for address, port in list_reached(arguments)
        )
        return cls(selections, hosts.are_host_bound(acting), reached)

    @classmethod
    def from_json(cls, written: Mapping[str, Any] | None) -> Self:
        stored = written or {}
        reached = frozenset(stored.get("reached", ()))
        return cls(frozenset(stored.get("hosts", ())), stored.get("on_worker"), reached)

    def as_json(self) -> dict[str, Any]:
        return {
            "hosts": sorted(self.selections),
            "on_worker": self.on_worker,
            "reached": sorted(self.reached),
        }

    def resolve(self, touched: Iterable[str], host: str) -> list[str]:
        """The targets that a waiting run touches, with this host as that of its worker.

        What an earlier attempt touched on its worker's host cannot be told from a registered host of that
        name, if the steps select hosts too. Then the run waits for that one as well, until it is claimed.
        """
        listed = set(touched)
        named = {name for name in listed if hosts.is_target(name)}
        if not named:
            return sorted(listed)
        kept = named - {hosts.ANY_HOST} if self.selections else set()
        on_worker = self.on_worker or hosts.ANY_HOST in named or not self.selections
        return sorted(listed - named | kept | ({hosts.format_target(host)} if on_worker else set()))

    def list_claims(self, touched: Iterable[str]) -> set[str]:
        """As `resolve`, for a run that any worker may claim."""
        return set(self.resolve(touched, hosts.ANY_HOST.removeprefix(hosts.TARGET_PREFIX)))


class RegisteredHosts:
    """The registered hosts as they are when this is made, and where they lead."""

    def __init__(self) -> None:
        rows = Host.objects.values_list("name", "address", "labels")
        self._rows = {name: (_find_host_name(address), labels) for name, address, labels in rows}

    def find_selected(self, selections: Iterable[str]) -> set[str]:
        """The names of the hosts that may be chosen, also of those that are not registered."""
        found: set[str] = set()
        for selection in map(json.loads, selections):
            if name := selection.get("name"):
                found.add(name)
            elif where := selection.get("where"):
                found |= {name for name, (_, labels) in self._rows.items() if where.items() <= labels.items()}
        return found

    def find_touched(self, targets: HostTargets, *, lookups: bool = True) -> set[str]:
        """The targets of holds: hosts that are selected, and those at the same places under other names.

        `host/*` is among them where that is the host of the worker.
        """
        selected = self.find_selected(targets.selections)
        if not selected and not targets.on_worker:
            return set()
        places = self._resolve(lookups=lookups and bool(selected))
        reached = set().union(*(places.get(name, {name}) for name in selected))
        if targets.on_worker:
            reached.add(THIS_HOST)
        same = {name for name, own in places.items() if not own.isdisjoint(reached)}
        touched = {hosts.format_target(name) for name in selected | same}
        return touched | {hosts.ANY_HOST} if THIS_HOST in reached else touched

    def find_reached(self, reached: Iterable[str]) -> set[Endpoint]:
        """The endpoints as the coordinator sees them; of a host's loopback addresses, the host itself."""
        found = set()
        for entry in reached:
            wanted = json.loads(entry)
            address = EVERY_HOST if wanted["to"] == "any" else wanted["to"]
            for name in self.find_selected([entry]) & self._rows.keys():
                host = self._rows[name][0] if not address or leads_to_itself(address) else address
                found.add((host, int(wanted["port"])))
        return found

    def find_at(self, address: str) -> set[str]:
        """The names of the hosts that this SSH address leads to, whatever its user and port."""
        host = _find_host_name(address)
        wanted = {host, *names.resolve([host]).get(host, ())}
        return {name for name, own in self._resolve(lookups=True).items() if not own.isdisjoint(wanted)}

    def _resolve(self, *, lookups: bool) -> dict[str, set[str]]:
        """By name, the addresses of the host, or its spelling where it cannot be resolved."""
        found = names.resolve({host for host, _ in self._rows.values()}, lookups=lookups)
        return {name: {host, *found.get(host, ())} for name, (host, _) in self._rows.items()}


def read_endpoints() -> list[Endpoint]:
    """Where ssh reaches the registered hosts."""
    found = []
    for address in Host.objects.exclude(address="").values_list("address", flat=True):
        with suppress(ValueError):  # stored by other means
            place = service_urls.parse_ssh_address(address)[1]
            found.append((normalize_host(place.host), place.port))
    return found


def find_touched(targets: HostTargets, *, lookups: bool = True) -> set[str]:
    """The hosts that a run with these targets touches, as they are held; no query if it touches none."""
    if not targets.selections and not targets.on_worker:
        return set()
    return RegisteredHosts().find_touched(targets, lookups=lookups)


def find_reached(targets: HostTargets) -> set[Endpoint]:
    """Where faults of the selected hosts break connections; see `Registry.touched`."""
    return RegisteredHosts().find_reached(targets.reached) if targets.reached else set()


def find_touched_now(run: Run, host: str) -> set[str]:
    """The hosts that the run touches if a worker of this host claims it now; no name server is asked."""
    targets = HostTargets.from_json(run.targets)
    touched = find_touched(targets, lookups=False)
    if targets.on_worker is None and any(map(hosts.is_target, run.services)):
        touched.add(hosts.ANY_HOST)
    return {hosts.format_target(host) if name == hosts.ANY_HOST else name for name in touched}


def resolve_worker(run: Run, host: str) -> list[str]:
    """What the waiting run would touch if a worker of this host claimed it."""
    return HostTargets.from_json(run.targets).resolve(run.services, host)


def list_claims(run: Run) -> set[str]:
    """What a queued run waits for. The worker that claims it decides on which host it acts."""
    return HostTargets.from_json(run.targets).list_claims(run.services)


def find_protected(touched: Iterable[str], protected_hosts: Iterable[str]) -> list[str]:
    """The protected ones of these targets of holds. `protected_hosts` are the names that a setting protects.

    For a run that any worker may claim, it returns all protected hosts, because each may be the one.
    """
    found = {name for name in touched if hosts.is_target(name)}
    if not found:
        return []
    named = {hosts.format_target(host) for host in protected_hosts}
    if hosts.ANY_HOST in named:
        return sorted(found)
    rows = Host.objects.filter(is_protected=True).values_list("name", flat=True)
    registered = found.intersection(map(hosts.format_target, rows))
    return sorted(registered | (named if hosts.ANY_HOST in found else found & named))


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def _find_selection(arguments: Mapping[str, Any]) -> dict[str, Any]:
    name, where = arguments.get("name"), arguments.get("where")
    if isinstance(name, str):
        return {"name": name}
    return (
        {"where": {str(key): str(value) for key, value in where.items()}}
        if isinstance(where, Mapping)
        else {}
    )


def _find_host_name(address: str) -> str:
    """The name or the address that ssh connects to; this machine's where there is none."""
    try:
        return normalize_host(service_urls.parse_ssh_address(address)[1].host) if address else THIS_HOST
    except ValueError:
        return THIS_HOST  # stored by other means: rather too many runs wait than too few
