"""What the engine asks of the outside: drivers to act, a clock to wait, a journal to write."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Rollback
from scenarios.domain.plan import Action, Proof, Step
from scenarios.domain.plan import FaultCall as FaultCall  # noqa: PLC0414 - a part of the contract of drivers


@dataclass(frozen=True, slots=True)
class Connection:
    """One that is about to be made: the host as it is spelt, and the socket addresses it was resolved to."""

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
    UNDO = "undo"  # of a fault that is injected already: nothing that came later keeps it from being undone


class Gate(Protocol):
    """Decides what a run may touch, by where its bytes go."""

    async def admit(self, connection: Connection, intent: Intent) -> frozenset[str]:
        """Let the run connect; what it holds there from now on.

        Raises:
            StepImpossible: it may not touch what is there.
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

        `reads` says that nothing is changed there, whatever the step does elsewhere; `was_sent` that the
        step has reached somebody before, who redirected it and may have done it.

        Raises:
            StepImpossible: the run may not touch what is there.
            StepNotDone: the same of an action, with `was_sent`.
        """


class Driver(Protocol):
    """One kind of step. `Arguments` declares once what validation, JSON Schema and documentation need.

    A driver whose steps take effect on the host of the process that runs them says so by the class
    attribute `is_host_bound = True`: only a process of the same host then undoes its faults.

    A driver may have two more methods, which take what `probe` takes and carry nothing out. `check` (no
    coroutine) raises StepImpossible where the step makes no sense as the site is now; without it, a
    `service` among the arguments must be registered. The coroutine `reach` raises StepFailed where nothing
    listens at the step's target; it is only for drivers whose actions start no other step's target.
    """

    name: ClassVar[str]
    Arguments: ClassVar[type[BaseModel]]

    async def probe(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        """Look, and return the fields that `expect` names. Must give way to cancellation at any await.

        Raises:
            StepFailed: the target did not answer, or not in a way that can be read.
            StepImpossible: the step makes no sense.
        """

    async def act(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        """As `probe`, and carried out.

        A driver may have an `undo` beside it, which is called for undos, and returns `gone: True` where the
        target answered that there is nothing to undo; and a class attribute `decided_by`,
        the field that decides here whether it was done: where an action's `expect` names that field, `probe`
        is called instead, and the expectation decides; a method `is_of_target(fields)`, False where another
        than the target answered `probe`, as a gateway that gave up; and `arrives_late = False` where nothing
        of a step that was cut off can be done later.

        Raises:
            StepFailed: the target did not answer. It may have done it, or may do it later.
            StepNotDone: the target answered that it did not do it.
            StepNotSent: nothing can have reached the target.
        """


@runtime_checkable
class FaultDriver(Protocol):
    """A driver whose faults know their own undo. `FaultArguments` declares the words of `fault: {NAME: …}`.

    A driver may be both a `Driver` and a `FaultDriver`. Each method must give way to cancellation at any
    await. Errors of `inject` and `remove` are those of `Driver.act`. The fault is removed by another process
    if the one that injected it is dead, with the same arguments and the same call.

    It may have a method `check(arguments, platform)`, as a `Driver` has, under the name `check_fault`.
    """

    name: ClassVar[str]
    FaultArguments: ClassVar[type[BaseModel]]

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        """Whether this fault, with its arguments as JSON values, ends by itself a lease after its renewal."""

    async def choose_target(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        """Decide where to inject, before the fault is written to the ledger; changes nothing anywhere.

        Returns JSON values: all that `remove` needs to find the place again, whatever is registered by then.
        With `host`, only processes of that host undo the fault; `label` is shown to people.

        Raises:
            StepImpossible: the fault has no target, or not one that the site allows.
            StepFailed: the target cannot be reached.
        """

    async def inject(self, arguments: Any, platform: Platform, fault: FaultCall) -> Mapping[str, Any]:
        """Inject the fault; idempotent by its id. Returns what was done, for the journal.

        A request that arrives after `remove` of the same id is refused, or ends with its lease.
        """

    async def renew(self, arguments: Any, platform: Platform, fault: FaultCall) -> None:
        """Keep a leased fault for another lease from now.

        Raises:
            FaultGone: the target does not have the fault any more.
            StepFailed: the target did not answer.
        """

    async def remove(self, arguments: Any, platform: Platform, fault: FaultCall) -> bool:
        """Remove the fault; idempotent, and an unknown id is success. False where it was not there."""

    async def is_present(self, arguments: Any, platform: Platform, fault: FaultCall) -> bool:
        """Whether the target has the fault. Asked after `remove`: only what is not present is undone."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, aware, in UTC: for people, never for measuring."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    async def sleep(self, seconds: float) -> None: ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """As `asyncio.timeout`: raises TimeoutError when the time is up."""


def acts_when_probed(driver: object, arguments: Mapping[str, Any]) -> bool:
    """Whether a probe with these arguments, as the plan has them, changes something at its target."""
    decides = getattr(driver, "acts_when_probed", None)
    return decides is not None and bool(decides(arguments))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run. The journal gives it its sequence number."""

    kind: EventKind
    at: datetime
    phase: str = ""
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the ledger. `key` identifies it, `order` is its place in the order of injection.

    Where `host` is not empty, only a process of that host can undo it.
    `address` is where the undo's service was when it was injected. Where the injection was not answered it
    may arrive for `late_seconds` more.
    """

    key: int
    order: int
    phase: str
    action: str
    driver: str
    undo: Step
    timeout: float
    host: str = ""
    proof: Proof | None = None
    address: str = ""
    late_seconds: float = 0.0
    is_answered: bool = False
    lease_seconds: float = 0.0

    @property
    def is_leased(self) -> bool:
        """Whether it ends by itself, `lease_seconds` after its last renewal."""
        return self.lease_seconds > 0


@dataclass(frozen=True, slots=True)
class UndoResult:
    """`reason` says why the fault may still be there; "" where it was undone.

    `is_seen_gone`: its proof holds. `was_gone`: the undo found nothing to undo. `places`: what came of it,
    by address. `began_at`: when it was asked for.
    """

    reason: str = ""
    is_seen_gone: bool = False
    was_gone: bool = False
    places: Mapping[str, str] = field(default_factory=dict)
    began_at: datetime | None = None


class Ledger(Protocol):
    """Where every fault is written before it is injected. Each method has committed when it returns.

    Raises (each method):
        LeaseLost: another process has taken the run over.
    """

    async def open(
        self,
        *,
        phase: str,
        action: Action,
        address: str,
        late_seconds: float,
        lease_seconds: float = 0.0,
        touched: frozenset[str] = frozenset(),
    ) -> Fault:
        """Write the action's fault as `injecting`. Only after this may the injection start.

        `lease_seconds`: how long it lasts without being renewed; 0 if it does not end by itself.
        `touched`: what its undo touches, also where a secret hides that.
        """

    async def mark_active(self, fault: Fault) -> None: ...

    async def mark_not_injected(self, fault: Fault, reason: str) -> None: ...

    async def note_renewed(self, faults: Sequence[Fault], at: datetime) -> None:
        """Write when these leased faults were renewed, for people; nothing depends on it."""

    async def mark_lost(self, fault: Fault, reason: str) -> None:
        """Write that the target does not have the fault any more, although nobody was to remove it."""

    async def mark_undone(self, fault: Fault, result: UndoResult) -> None:
        """Close the fault. One whose injection may still arrive stays, to be undone again."""

    async def mark_undo_failed(self, fault: Fault, result: UndoResult) -> None:
        """The fault stays in the ledger as `outstanding`."""

    async def remaining(self) -> Sequence[Fault]:
        """Faults of the run that have not been undone, the newest first."""

    async def due_again(self, at: datetime) -> Sequence[Fault] | None:
        """Faults that were undone, may still arrive, and are to be undone again by `at`.

        None if no fault of the run is awaited.
        """

    async def find_new_address(self, fault: Fault) -> str:
        """Where the undo's service is registered now; "" if it has not moved."""

    async def rollback(self) -> Rollback:
        """What can be said of the run's faults."""

    def is_held(self) -> bool:
        """Whether the lease is good by this process's own clock, which goes on while it is stopped."""


class Journal(Protocol):
    async def record(self, event: Event) -> None:
        """Keep the event; it is durable when this returns.

        Raises:
            LeaseLost: another process has taken the run over.
        """


class RunningLoad(Protocol):
    """A load that is sent by a process of its own, which ends with this one."""

    def enter_phase(self, phase: int) -> None:
        """Count what is due from now on under this number; the first call begins the load.

        Called every second or so: a load that hears nothing for some seconds ends by itself.
        """

    async def read(self) -> Mapping[str, Any] | None:
        """What was measured since the last report (see `scenarios.load.sender`); None if the load has ended.

        The first report says that the load may begin.
        """

    def kill(self) -> None:
        """End it at once."""


class LoadStarter(Protocol):
    async def start(self, order: Mapping[str, Any]) -> RunningLoad:
        """Start the process of a load; see `scenarios.load.process`.

        Raises:
            OSError: the process cannot be started.
        """


# The names of earlier versions, for the drivers of sites; they go with the next release.
Surroundings = Platform
GatedSurroundings = GatedPlatform
