"""What a run may touch, decided for each connection by the socket addresses that it is made to."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, transaction

from scenarios.database.connections import reconnecting
from scenarios.domain.addresses import Endpoint, Place, build_places, names, parse_endpoint, resolve_places
from scenarios.domain.allow_lists import ListName, is_in_networks, list_entries
from scenarios.domain.errors import StepImpossible
from scenarios.domain.outcomes import FaultState, RunState
from scenarios.drivers.allow_lists import find_bound
from scenarios.models import Fault, Hold, Run
from scenarios.ports import Connection, Intent
from scenarios.runs import admission, host_targets
from scenarios.runs.current_lists import CurrentLists
from scenarios.runs.registry import (
    Registered,
    Registry,
    hidden,
    is_address,
    list_hold_names,
    read_held,
    read_services,
)

T = TypeVar("T")
# Seconds to wait for the database where its last answer will do.
ANSWER_SECONDS = 2.0
_RULE = "this site reaches registered services only (ONLY_REGISTERED_SERVICES)"


class RunGate:
    """The gate of one run, in the process that carries it out or undoes its faults.

    Services are read again for each connection, so that protection takes effect at once.
    """

    def __init__(self, run: Run) -> None:
        self._run_id: UUID = run.pk
        self._claimed_at: datetime | None = run.claimed_at
        self._begun_with: Mapping[str, str] = run.addresses
        # As they were last read.
        self._services: list[Registered] | None = None
        self._without_approval: dict[tuple[str, ...], list[str]] = {}
        self._lists = CurrentLists()

    async def read_allow_list(self, name: str) -> Sequence[str] | None:
        return (await self._lists.read()).get(name)

    async def admit_network(self, connection: Connection) -> None:
        """Raises StepImpossible where the site does not allow the network of an address now."""
        narrowed = await self.read_allow_list(ListName.NETWORKS)
        if narrowed is None and not settings.ALLOWED_NETWORKS:
            return
        networks = find_bound(ListName.NETWORKS) if narrowed is None else narrowed
        own = parse_endpoint(settings.PROMETHEUS_URL) if settings.PROMETHEUS_URL else None
        for ip, port in connection.addresses:
            if not is_in_networks(ip, networks) and (connection.host, port) != own:
                setting = "ALLOWED_NETWORKS" if narrowed is None else "the allow list 'networks'"
                raise StepImpossible(
                    f"{connection.host!r} is refused: its address {ip} is in no network that this site "
                    f"allows; {setting} names {list_entries(networks)} now"
                )

    async def admit(self, connection: Connection, intent: Intent) -> frozenset[str]:
        """Let the run connect; return what it holds from now on. Raises StepImpossible if it may not."""
        if intent is Intent.READ and not settings.ONLY_REGISTERED_SERVICES:
            return frozenset()
        services = await self._read_services(intent)
        held = await _ask(read_held, last=None) if intent is Intent.ACT else None
        # In another thread, because the thread of the database also renews the lease.
        known = await asyncio.to_thread(Registry, services, held)
        places = build_places(connection.host, connection.addresses)
        if intent is Intent.UNDO:
            await self._refuse_undo(known, places, connection.host)
            return frozenset()
        if settings.ONLY_REGISTERED_SERVICES:
            endpoints = await _ask(host_targets.read_endpoints, last=None)
            await asyncio.to_thread(self._refuse_strangers, known, places, connection.host, endpoints)
        if intent is Intent.READ:
            return frozenset()
        touched = known.find_holds_for(places)
        return await sync_to_async(self._take)(known.services, touched, connection.host)

    async def _read_services(self, intent: Intent) -> list[Registered]:
        last = self._services if intent is Intent.UNDO else None
        self._services = await _ask(read_services, last=last)
        return self._services

    async def _refuse_undo(self, known: Registry, places: Iterable[Place], host: str) -> None:
        """Only what was protected before the run began, to which somebody has redirected the undo."""
        protected = known.find_protected_before(self._claimed_at, places)
        if not protected:
            return
        key = tuple(sorted(protected))
        look = partial(admission.filter_unapproved, self._run_id, protected)
        names_left = self._without_approval[key] = await _ask(look, last=self._without_approval.get(key))
        if names_left:
            raise StepImpossible(_unapproved(host, names_left))

    def _refuse_strangers(
        self, known: Registry, places: frozenset[Place], host: str, of_hosts: Iterable[Endpoint]
    ) -> None:
        if known.find_services_at(places):
            return
        own = [*self._begun_with.values(), settings.PROMETHEUS_URL]
        endpoints = [*of_hosts, *filter(None, map(parse_endpoint, own))]
        names.resolve(name for name, _ in endpoints)
        if not any(places & resolve_places(endpoint, lookups=False) for endpoint in endpoints):
            raise StepImpossible(f"{host!r} is refused: {_RULE}, and none is registered at its address")

    def _take(self, services: Mapping[str, Registered], touched: Iterable[str], host: str) -> frozenset[str]:
        """Hold what the run does not hold yet, because a secret or a redirect hid it until now.

        Returns the names under which it is held.

        Raises:
            StepImpossible: nobody has approved it, or another run holds it.
        """
        found = sorted(touched)
        protected = [name for name in found if name in services and services[name].is_protected]
        if unapproved := admission.filter_unapproved(self._run_id, protected):
            raise StepImpossible(_unapproved(host, unapproved))
        forms = list_hold_names(found)
        rows = Hold.objects.filter(service__in=forms)
        own = set(rows.filter(run=self._run_id).values_list("service", flat=True))
        if missing := set(found) - {forms[name] for name in own}:
            with transaction.atomic():
                admission.lock_admission()
                for hold in rows.exclude(run=self._run_id).select_related("run"):
                    target = admission.describe_target(forms[hold.service])
                    raise StepImpossible(
                        f"{host!r} leads to {target}, which is held by {hold}: nothing was sent there"
                    )
                taken = {hidden(name) if is_address(name) else name for name in missing}
                self._hold(taken)
            own |= taken
        self._keep_with_faults(own)
        return frozenset(own)

    def _hold(self, missing: Iterable[str]) -> None:
        to_hold = set(missing)
        # Another step of the run may have taken it since.
        to_hold -= set(Hold.objects.filter(service__in=to_hold).values_list("service", flat=True))
        run = Run.objects.select_for_update().get(pk=self._run_id)
        if run.state != RunState.RUNNING:  # ended by another process: nobody would let go of it
            raise StepImpossible("the run has ended: nothing was sent")
        Hold.objects.bulk_create([Hold(service=name, run_id=self._run_id) for name in to_hold])
        Run.objects.filter(pk=run.pk).update(services=sorted({*run.services, *to_hold}))

    def _keep_with_faults(self, touched: Iterable[str]) -> None:
        """Note it in the fault that is being injected there, so that the hold lasts as long as the fault."""
        for fault in Fault.objects.filter(run=self._run_id, state=FaultState.INJECTING):
            if missing := set(touched) - set(fault.services):
                Fault.objects.filter(pk=fault.pk).update(services=sorted({*fault.services, *missing}))


async def _ask(look: Callable[[], T], *, last: T | None) -> T:
    """The database's answer; its last one, if there is one, while it is away or does not answer.

    A fault must be undone without the database, too. Before it was injected, its undo was admitted.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS if last is not None else None):
            return await sync_to_async(reconnecting(look))()
    except (Error, TimeoutError):
        if last is None:
            raise
        return last


def _unapproved(host: str, protected: Iterable[str]) -> str:
    listed = ", ".join(map(repr, protected))
    return (
        f"{host!r} leads to {listed}, which is protected, and nobody has approved that this run touches it: "
        "nothing was sent there. Name the service by 'service', so that a second person is asked"
    )
