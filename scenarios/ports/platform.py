"""What a step may ask about the platform it acts on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from scenarios.domain.plan import FaultCall as FaultCall  # noqa: PLC0414 - a part of the contract of drivers


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that is about to be made: the host as it is spelt, and its socket addresses."""

    host: str
    addresses: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Proxy:
    """The fault proxy in front of a service.

    `control` is the base URL of its control API, and `token` the bearer token of that. `listener` is its
    listener for the service, as HOST:PORT; "" stands for the only one that the proxy has.
    """

    control: str
    listener: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegisteredHost:
    """`address` is where ssh reaches the host, as `user@host:port`; "" for the worker's own machine."""

    name: str
    address: str
    labels: Mapping[str, str]


class Platform(Protocol):
    """What a step may ask about the platform it acts on."""

    def address_of(self, service: str) -> str:
        """The base URL of a registered service, as `http://127.0.0.1:9101`, without user and password.

        The scheme is http, https, tcp, postgres, postgresql, redis or grpc.

        Raises:
            StepImpossible: no service has this name; the message lists the known ones.
        """

    def proxy_of(self, service: str) -> Proxy:
        """The fault proxy in front of a registered service.

        Raises:
            StepImpossible: no service has this name, the service names no proxy, or the secret with the
                proxy's token is missing.
        """

    def hosts(self) -> Sequence[RegisteredHost]:
        """The registered hosts, by name."""

    def secret(self, name: str) -> str:
        """What `${secret:NAME}` stands for. Asked where steps are carried out, not by drivers.

        Raises:
            StepImpossible: there is no such secret.
        """


class Intent(StrEnum):
    """What a step wants of what it connects to."""

    READ = "read"
    ACT = "act"
    UNDO = "undo"  # of a fault that is already injected: no later change keeps it from being undone


class Gate(Protocol):
    """Decides what a run may touch, by where its bytes go."""

    async def admit(self, connection: Connection, intent: Intent) -> frozenset[str]:
        """Let the run connect; return what it holds there from now on.

        Raises:
            StepImpossible: it may not touch what is there.
        """


@runtime_checkable
class ListGate(Protocol):
    """What the gate of a run may offer beside `Gate`: the allow lists, as people have narrowed them."""

    async def read_allow_list(self, name: str) -> Sequence[str] | None:
        """What the list of this name allows now; None if nobody has narrowed it."""

    async def admit_network(self, connection: Connection) -> None:
        """Let the run connect into these networks.

        Raises:
            StepImpossible: the site does not allow one of the addresses now.
        """


@runtime_checkable
class ListedPlatform(Protocol):
    """A platform that also knows the allow lists, as the steps of a run get it."""

    async def read_allow_list(self, name: str) -> Sequence[str] | None:
        """What the list allows now, within the settings. None: nobody has narrowed it, or the step is a part
        of the undo of a fault that is already injected, which is limited by the settings alone.
        """

    async def admit_network(self, connection: Connection) -> None:
        """Asked before a connection to a server that the settings name; `GatedPlatform.admit` includes it.

        Raises:
            StepImpossible: the site does not allow one of the addresses now, and the step is no undo.
        """


@runtime_checkable
class GatedPlatform(Protocol):
    """What the steps of a run get beside `Platform`."""

    @property
    def intent(self) -> Intent: ...

    @property
    def secret_arguments(self) -> frozenset[str]:
        """The words of the step whose values hold a secret."""

    async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
        """Asked before each connection, with the very addresses that the driver then connects to.

        `reads` says that nothing is changed there, whatever the step does elsewhere. `was_sent` says that the
        step has already reached a server, which redirected it and may have done it.

        Raises:
            StepImpossible: the run may not touch what is there.
            StepNotDone: the same for an action, with `was_sent`.
        """
