"""What one step of a run sees of the platform: the drivers' view, with the gate that its connections pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scenarios.domain.addresses import look_up, parse_endpoint
from scenarios.domain.errors import StepImpossible, StepNotDone
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.own_threads import run_in_own_thread
from scenarios.domain.plan import Step, find_services, find_urls, origin
from scenarios.domain.redaction import Redactor
from scenarios.domain.templates import find_secrets, insert_secrets
from scenarios.engine.fault_steps import FaultSteps
from scenarios.ports import (
    Connection,
    Driver,
    Gate,
    Intent,
    ListGate,
    Platform,
    Proxy,
    RegisteredHost,
    acts_when_probed,
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """The platform, with these services at these addresses, wherever they are registered."""

    platform: Platform
    addresses: Mapping[str, str]

    def address_of(self, service: str) -> str:
        return self.addresses.get(service) or self.platform.address_of(service)

    def proxy_of(self, service: str) -> Proxy:
        return self.platform.proxy_of(service)

    def hosts(self) -> Sequence[RegisteredHost]:
        return self.platform.hosts()

    def secret(self, name: str) -> str:
        return self.platform.secret(name)

    def web_defaults(self, service: str) -> Mapping[str, Any]:
        """None for an address that is not the one they belong to: they are not sent to another origin."""
        moved = self.addresses.get(service)
        if moved and origin(moved) != origin(self.platform.address_of(service)):
            return {}
        found = getattr(self.platform, "web_defaults", None)
        return found(service) if found is not None else {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.platform, name)  # a site's own platform may offer more


@dataclass(frozen=True, slots=True)
class StepPlatform:
    """`Platform` and `GatedPlatform` of one step, with the intent that it has."""

    platform: Platform
    gate: Gate | None
    intent: Intent
    secret_arguments: frozenset[str]
    redactor: Redactor = field(default_factory=Redactor)
    # What drivers keep for later steps of the run, by service.
    cookies: dict[str, Any] = field(default_factory=dict)
    # Whether the step belongs to the undo of a fault that is injected already: lists that people have
    # narrowed since do not hold for it.
    undoes: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.platform, name)  # a site's own platform may offer more

    def address_of(self, service: str) -> str:
        return self.platform.address_of(service)

    def proxy_of(self, service: str) -> Proxy:
        proxy = self.platform.proxy_of(service)
        self.redactor.learn(proxy.token)  # a proxy may answer what it was sent
        return proxy

    def web_defaults(self, service: str) -> Mapping[str, Any]:
        """`tls` and `auth` that the service gives to its steps, with their secrets."""
        found = getattr(self.platform, "web_defaults", None)
        return insert_secrets(dict(found(service)), self._learn_secret) if found is not None else {}

    def _learn_secret(self, name: str) -> str:
        secret = self.platform.secret(name)
        self.redactor.learn(secret)
        return secret

    def hosts(self) -> Sequence[RegisteredHost]:
        return self.platform.hosts()

    def secret(self, name: str) -> str:
        return self.platform.secret(name)

    async def read_allow_list(self, name: str) -> Sequence[str] | None:
        if self.undoes or not isinstance(self.gate, ListGate):
            return None
        return await self.gate.read_allow_list(name)

    async def admit_network(self, connection: Connection) -> None:
        if not self.undoes:
            await admit_network(self.gate, connection)

    async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
        if self.gate is None:
            return
        try:
            await self.admit_network(connection)
            # A probe of an undo is admitted like the undo itself, even while the database is away.
            is_reading = reads and self.intent is not Intent.UNDO
            await self.gate.admit(connection, Intent.READ if is_reading else self.intent)
        except StepImpossible as error:
            if was_sent and self.intent is not Intent.READ:
                raise StepNotDone(str(error)) from error
            raise


@dataclass(slots=True)
class RecordingGate:
    """The gate of a load, which remembers where the run may connect."""

    gate: Gate | None
    connections: list[Connection] = field(default_factory=list)

    @property
    def admitted(self) -> list[tuple[str, int]]:
        return sorted({place for connection in self.connections for place in connection.addresses})

    async def admit(self, connection: Connection, intent: Intent) -> frozenset[str]:
        del intent  # a load is an action, whatever each of its requests is
        await admit_network(self.gate, connection)
        held = frozenset() if self.gate is None else await self.gate.admit(connection, Intent.ACT)
        self.connections.append(connection)
        return held


async def admit_network(gate: Gate | None, connection: Connection) -> None:
    """Raises StepImpossible where the site does not allow the network of an address."""
    if isinstance(gate, ListGate):
        await gate.admit_network(connection)


def choose_intent(driver: Driver | FaultSteps, step: Step, *, is_action: bool, undoes: bool) -> Intent:
    if not is_action and not acts_when_probed(driver, step.arguments):
        return Intent.READ
    return Intent.UNDO if undoes else Intent.ACT


def secret_arguments(step: Step) -> frozenset[str]:
    return frozenset(
        word for word, value in step.arguments.items() if find_secrets(value) or mentions_saved(value)
    )


async def admit_undo(gate: Gate, arguments: Mapping[str, Any], platform: Platform) -> frozenset[str]:
    """Make sure that the undo, with its secrets filled in, may touch what it names: later it is not refused.

    Returns what the run holds because of it, which the secrets would hide from the ledger.

    Raises:
        StepImpossible: it may not.
    """
    step = Step("", arguments)
    urls = find_urls([step]) | {platform.address_of(name) for name in find_services([step])}
    touched: frozenset[str] = frozenset()
    for endpoint in filter(None, map(parse_endpoint, urls)):
        host, port = endpoint
        found = await run_in_own_thread(partial(look_up, host))
        connection = Connection(host, tuple((ip, port) for ip in found) or ((host, port),))
        await admit_network(gate, connection)
        touched |= await gate.admit(connection, Intent.ACT)
    return touched
