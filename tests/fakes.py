"""In-memory clock, journal, ledger and driver for tests and benchmarks of the engine."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from scenarios.domain.errors import LeaseLost, LedgerUnreachable, StepImpossible
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import STATES_AWAITED, STATES_TO_UNDO, FaultState, Rollback
from scenarios.domain.plan import Action, find_service
from scenarios.engine.clock import SystemClock
from scenarios.ports import Event, Fault, Platform, Proxy, RegisteredHost, UndoResult

T = TypeVar("T")
DAWN = datetime(2026, 1, 1, tzinfo=UTC)


class JumpingSelector(selectors.DefaultSelector):
    """Advances the clock to the next timer instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: nothing is ready and no timer is set")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose hours take microseconds, for coroutines that wait only for time."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


class FakeClock(SystemClock):
    """The clock of the virtual loop; it starts at DAWN."""

    def now(self) -> datetime:
        return DAWN + timedelta(seconds=self.monotonic())


@dataclass
class InMemoryJournal:
    """Journal and ledger in one. After `lost` every write raises LeaseLost, or LedgerUnreachable."""

    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)
    states: dict[int, FaultState] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)
    late_until: dict[int, float] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    renewed: list[tuple[int, float]] = field(default_factory=list)
    lost: bool = False
    unreachable: bool = False

    async def record(self, event: Event) -> None:
        if self.unreachable:
            raise LedgerUnreachable("unreachable")
        if self.lost:
            raise LeaseLost("lost")
        self.events.append(event)

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
        del touched
        key = len(self.faults) + 1
        assert action.undo is not None
        fault = Fault(
            key=key,
            order=key,
            phase=phase,
            action=action.name,
            driver=action.do.driver,
            undo=action.undo,
            timeout=action.undo_timeout,
            proof=action.undone,
            address=address,
            late_seconds=late_seconds,
            lease_seconds=lease_seconds,
        )
        await self._enter(fault, FaultState.INJECTING, EventKind.FAULT_INJECTING)
        return fault

    async def complete(self, fault: Fault) -> None:
        self.faults[fault.key] = fault

    async def mark_active(self, fault: Fault) -> None:
        await self._enter(fault, FaultState.ACTIVE, EventKind.FAULT_INJECTED)

    async def mark_not_injected(self, fault: Fault, reason: str) -> None:
        await self._enter(fault, FaultState.NOT_INJECTED, EventKind.FAULT_NOT_INJECTED, reason)

    async def note_renewed(self, faults: Sequence[Fault], at: datetime) -> None:
        self.renewed += [(fault.key, (at - DAWN).total_seconds()) for fault in faults]

    async def mark_lost(self, fault: Fault, reason: str) -> None:
        await self.record(
            Event(EventKind.FAULT_LOST, self.clock.now(), fault.phase, fault.action, {"reason": reason})
        )

    async def mark_undone(self, fault: Fault, result: UndoResult) -> None:
        if self._may_arrive(fault):
            state = FaultState.WATCHED if result.is_seen_gone else FaultState.UNVERIFIED
            await self._enter(fault, state, EventKind(f"fault_{state}"))
        else:
            await self._enter(fault, FaultState.UNDONE, EventKind.FAULT_UNDONE)

    async def mark_undo_failed(self, fault: Fault, result: UndoResult) -> None:
        self._may_arrive(fault)
        await self._enter(fault, FaultState.OUTSTANDING, EventKind.FAULT_UNDO_FAILED, result.reason)

    def _may_arrive(self, fault: Fault) -> bool:
        """For this long after its first undo, as in the database's ledger."""
        if self.states[fault.key] is FaultState.INJECTING and not fault.is_answered and fault.late_seconds:
            self.late_until[fault.key] = self.clock.monotonic() + fault.late_seconds
        return self.clock.monotonic() < self.late_until.get(fault.key, 0.0)

    async def find_new_address(self, fault: Fault) -> str:
        return self.moved.get(find_service(fault.undo), "")

    async def rollback(self) -> Rollback:
        left = {self.states[fault.key] for fault in self.faults.values()}
        if left.intersection(STATES_TO_UNDO):
            return Rollback.DIRTY
        return Rollback.UNVERIFIED if FaultState.UNVERIFIED in left else Rollback.CLEAN

    async def _enter(self, fault: Fault, state: FaultState, kind: EventKind, reason: str = "") -> None:
        await self.record(Event(kind, self.clock.now(), fault.phase, fault.action, {"reason": reason}))
        # Only `open` and `complete` write the undo and the proof.
        kept = self.faults.get(fault.key, fault)
        self.faults[fault.key] = replace(fault, undo=kept.undo, proof=kept.proof)
        self.states[fault.key] = state

    def is_held(self) -> bool:
        return not self.lost

    async def remaining(self) -> Sequence[Fault]:
        return [
            fault
            for key, fault in sorted(self.faults.items(), reverse=True)
            if self.states[key] in STATES_TO_UNDO
        ]

    async def due_again(self, at: datetime) -> Sequence[Fault] | None:
        awaited = [fault for key, fault in self.faults.items() if self.states[key] in STATES_AWAITED]
        if not awaited:
            return None
        return [fault for fault in awaited if at >= DAWN + timedelta(seconds=self.late_until[fault.key])]

    def story(self) -> list[str]:
        """The events as short text for assertions."""
        return [f"{event.kind} {event.subject or event.phase}".strip() for event in self.events]

    def moment(self, kind: str, subject: str = "") -> float:
        """Seconds from the start to the first event of this kind (and subject)."""
        for event in self.events:
            if event.kind == kind and subject in ("", event.subject, event.phase):
                return (event.at - DAWN).total_seconds()
        raise AssertionError(f"no {kind!r} of {subject!r} among {self.story()}")


class TargetCall(BaseModel):
    """The arguments of a scripted step."""

    say: str = ""


@dataclass
class ScriptedDriver:
    """Returns the scripted result for each word: fields, an exception, or a coroutine function."""

    name: ClassVar[str] = "target"
    Arguments: ClassVar[type[BaseModel]] = TargetCall
    answers: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    async def probe(self, arguments: TargetCall, platform: Platform) -> Mapping[str, Any]:
        self.said.append(arguments.say)
        answer: Any = self.answers.get(arguments.say, {"status": 200})
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = await answer()
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    async def act(self, arguments: TargetCall, platform: Platform) -> Mapping[str, Any]:
        return await self.probe(arguments, platform)


class NoServices:
    def address_of(self, service: str) -> str:
        raise AssertionError(f"nobody should ask for {service!r}")

    def proxy_of(self, service: str) -> Proxy:
        raise StepImpossible(f"the service {service!r} names no fault proxy")

    def hosts(self) -> Sequence[RegisteredHost]:
        return ()

    def secret(self, name: str) -> str:
        return {"TOKEN": "correct horse battery"}[name]
