"""Carries actions out. This is the one place where a fault is injected, and the ledger always knows it first.

Why: this process may be killed at any moment, also between a request and its answer. Whatever it began
is then on disk with its undo, where the process that ends the run, this one or another, finds it.

A fault counts as answered once the target has said whether it did what it was asked. Until then it may
still be injected, even after the connection was closed, and the ledger keeps it for a while after its undo.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

from scenarios.domain.errors import (
    FaultGone,
    LeaseLost,
    StepFailed,
    StepImpossible,
    StepNotDone,
    StepNotSent,
)
from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Action, FaultCall, Retry, Step
from scenarios.engine.observations import Observation, judge
from scenarios.engine.renewal import Renewals
from scenarios.engine.rollback import UNDO_DELAYS, NullLedger, undo_all
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Fault, Ledger

T = TypeVar("T")
NoteRetry = Callable[[str], Awaitable[None]]
NOTHING_EXPECTED = Expectations({})


async def ignore_retry(reason: str) -> None:
    del reason


class Injector:
    """Knows the faults that this process has injected and has not undone.

    `late_seconds`: how long an injection that was not answered may still arrive. `lease_seconds`: how long
    a fault that ends by itself lasts without being renewed. `lost` is called with one that ended too early.
    """

    def __init__(
        self,
        *,
        steps: StepRunner,
        ledger: Ledger,
        clock: Clock,
        late_seconds: float,
        lease_seconds: float,
        lost: Callable[[Fault, str], None],
    ) -> None:
        self._steps = steps
        self._ledger = ledger
        self._clock = clock
        self._late_seconds = late_seconds
        self._lease_seconds = lease_seconds
        self.renewals = Renewals(steps=steps, ledger=ledger, clock=clock, lost=lost)
        # What this process has in the ledger and has not undone. Nothing else is known while it is
        # unreachable.
        self._open: dict[int, Fault] = {}
        # Of these, the faults whose injection has begun, and whose end is not in the ledger yet.
        self._begun: dict[int, Fault] = {}
        # Faults whose target has answered that it did not inject them.
        self._refused: set[int] = set()

    async def act(self, action: Action, phase: str, note_retry: NoteRetry = ignore_retry) -> Observation:
        """Carry the action out; return what the target answered. A fault is written to the ledger first.

        `note_retry` is awaited with the reason before the action is tried again.

        Raises:
            StepFailed: the target did not do it, or may not have; the fault is then still in the ledger.
            LeaseLost: another process has taken the run over, with its faults.
        """
        if action.expect is not None:
            action = replace(action, expect=self._steps.saved.fill_expectations(action.expect))
        if action.undo is None:
            seen, _is_answered = await self._repeat(action, lambda: self._act(action), note_retry)
            self._steps.note_saved(seen.saved, is_sensitive=action.do.sensitive)
            return seen
        if action.is_driven_fault:
            action = await self._repeat(action, lambda: self._choose_target(action), note_retry)
        assert action.undo is not None  # noqa: S101 - it has not lost it
        # What it saves itself is not known yet, whatever another step has saved under the same name.
        earlier = {name: value for name, value in self._steps.saved.values.items() if name not in action.save}
        action, stored = self._steps.fill_undo(action, earlier)
        assert action.undo is not None  # noqa: S101 - it has not lost it
        touched = await self._steps.admit_undo(action.undo)
        fault = await self._open_fault(stored, action.undo, phase, touched)
        fault = self._open[fault.key] = replace(fault, undo=action.undo, proof=action.undone)
        return await self._inject(action, fault, note_retry)

    async def _choose_target(self, action: Action) -> Action:
        """The action with the id of its fault and the place where it will be: both go into the ledger."""
        target = await self._steps.choose_target(action.do, action.timeout)
        return action.for_fault(FaultCall(action.fault_id or uuid4().hex, self._lease_seconds, target))

    async def _repeat(self, action: Action, attempt: Callable[[], Awaitable[T]], note_retry: NoteRetry) -> T:
        """Try until it is done, or may have been done, or the action's tries are used up."""
        retry = action.retry or Retry(0)
        was_answered = False
        for left in range(retry.times, -1, -1):
            try:
                return await attempt()
            except (StepImpossible, FaultGone):
                raise
            except StepNotDone as error:
                if left == 0:
                    if was_answered and isinstance(error, StepNotSent):
                        # That this try was not sent says nothing about the earlier ones.
                        raise StepNotDone(str(error)) from error
                    raise
                was_answered = was_answered or not isinstance(error, StepNotSent)
                await note_retry(str(error))
                await self._clock.sleep(max(retry.every, min(error.retry_after, action.timeout)))
                if not self._ledger.is_held():
                    raise LeaseLost("the lease ran out before the action was tried again") from None
        raise AssertionError("the last try has returned or raised")

    async def _act(self, action: Action) -> tuple[Observation, bool]:
        """What was answered, and whether that is known to be the target's own word or to be expected."""
        fields = await self._steps.act(action.do, action.timeout, expect=action.expect)
        expect = action.expect or NOTHING_EXPECTED
        try:
            seen = await judge(
                fields, expect, self._steps.redactor, is_sensitive=action.do.sensitive, save=action.save
            )
        except StepImpossible as error:
            # The answer cannot be compared, but the step itself was carried out.
            raise StepFailed(str(error)) from None
        return seen, seen.holds or self._steps.is_of_target(action.do, fields)

    async def _open_fault(self, action: Action, undo: Step, phase: str, touched: frozenset[str]) -> Fault:
        late = max(self._late_seconds, action.timeout) if self._steps.arrives_late(action.do) else 0.0
        fault = await self._ledger.open(
            phase=phase,
            action=action,
            address=self._steps.address_of(undo),
            late_seconds=late,
            lease_seconds=self._lease_seconds if self._steps.is_leased(action.do) else 0.0,
            touched=touched,
        )
        # From here on the undo is on disk. Only now may the fault be injected.
        self._open[fault.key] = fault
        if not self._ledger.is_held():
            # This process was stopped for longer than the lease, and has just been woken: the fault is
            # in the ledger, for the process that has taken the run over, and must not be injected any more.
            raise LeaseLost("the lease ran out before the fault was injected")
        return fault

    async def _inject(self, action: Action, fault: Fault, note_retry: NoteRetry) -> Observation:
        self._begun[fault.key] = fault
        begun_at = self._clock.monotonic()
        try:
            seen, is_answered = await self._repeat(action, lambda: self._act(action), note_retry)
        except StepNotSent as error:
            self._forget(fault)
            await self._ledger.mark_not_injected(fault, str(error))
            raise
        except StepNotDone:
            self._refused.add(fault.key)
            raise
        self._steps.note_saved(seen.saved, is_sensitive=action.do.sensitive)
        fault = await self._complete(action, fault, seen.saved)
        self.renewals.keep(fault, begun_at)
        if is_answered:
            await self._ledger.mark_active(fault)
            del self._begun[fault.key]
        return seen

    async def _complete(self, action: Action, fault: Fault, saved: Mapping[str, Any]) -> Fault:
        """Fill values from the injection's answer into the fault's undo, here and in the ledger."""
        completed, stored = self._steps.fill_undo(action, saved)
        if completed.undo is None or (completed.undo, completed.undone) == (action.undo, action.undone):
            return fault
        fault = replace(fault, undo=completed.undo, proof=completed.undone)
        self._open[fault.key] = fault
        self._begun[fault.key] = fault
        assert stored.undo is not None  # noqa: S101 - it has not lost it
        await self._ledger.complete(replace(fault, undo=stored.undo, proof=stored.undone))
        return fault

    async def undo(self, faults: Sequence[Fault], delays: Sequence[float] | None = None) -> list[Fault]:
        """Undo the faults in this order; return those whose undo still fails after the usual tries."""
        await self.renewals.release(faults)
        known = [self._add_known(fault) for fault in faults]
        remaining = await undo_all(
            known,
            ledger=self._ledger,
            steps=self._steps,
            clock=self._clock,
            delays=UNDO_DELAYS if delays is None else delays,
        )
        left = {fault.key for fault in remaining}
        for fault in faults:
            if fault.key not in left:
                self._forget(fault)
        return remaining

    def _add_known(self, fault: Fault) -> Fault:
        """The fault with what only this process knows, and not the ledger."""
        own = self._open.get(fault.key, fault)
        is_answered = fault.is_answered or fault.key in self._refused
        return replace(fault, is_answered=is_answered, undo=own.undo, proof=own.proof)

    async def undo_without_ledger(self, *, is_cut_off: bool) -> None:
        """Undo what the process that has taken the run over may not have undone.

        It may have undone a fault before the injection arrived, because this process was stopped in
        between. An undo is safe to repeat; a fault left behind is not. Where the ledger cannot be reached
        (`is_cut_off`), there may be no such process: then all that this one has injected is undone.
        """
        left = list((self._open if is_cut_off else self._begun).values())
        await undo_all(left[::-1], ledger=NullLedger(), steps=self._steps, clock=self._clock)

    def _forget(self, fault: Fault) -> None:
        self._open.pop(fault.key, None)
        self._begun.pop(fault.key, None)
