"""Carries actions out. This is the one place where a fault is injected, and the ledger always knows it first.

Why: this process may be killed at any moment, also between a request and its answer. Whatever it began
then stands on disk with what takes it back, and whoever ends the run, this process or another, finds it.
"""

import asyncio
from collections.abc import Sequence

from scenarios.domain.errors import LeaseLost, StepFailed, StepImpossible, StepNotSent
from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Action, Step
from scenarios.observations import Observation, judge
from scenarios.ports import Clock, Fault, Ledger
from scenarios.rollback import take_back, take_back_once, take_back_without_ledger
from scenarios.steps import StepRunner

NOTHING_EXPECTED = Expectations({})
# Given to a target to do what it was asked before it was cut off.
LATE_SECONDS = 2.0


class Injector:
    """Knows the faults that this process has injected and has not undone."""

    def __init__(self, *, steps: StepRunner, ledger: Ledger, clock: Clock) -> None:
        self._steps = steps
        self._ledger = ledger
        self._clock = clock
        # What this process has in the ledger and has not undone: all there is while that is unreachable.
        self._open: dict[int, Fault] = {}
        # Of these, the faults whose injection has begun, and whose end the ledger has not been told.
        self._begun: dict[int, Fault] = {}
        # And of these, those that were cut off in the middle of their injection.
        self._cut_off: set[int] = set()

    async def act(self, action: Action, phase: str) -> Observation:
        """What the target answered. An action with an undo is a fault, and is written before it is done.

        Raises:
            StepFailed: the target did not do it, or not for sure: the fault is then still in the ledger.
            LeaseLost: another process has taken the run over, with its faults.
        """
        if action.undo is None:
            return await self._act(action)
        fault = await self._write(action, action.undo, phase)
        return await self._inject(action, fault)

    async def _act(self, action: Action) -> Observation:
        fields = await self._steps.act(action.do, action.timeout, expect=action.expect)
        expect = action.expect or NOTHING_EXPECTED
        try:
            return await judge(fields, expect, self._steps.redactor, is_sensitive=action.do.sensitive)
        except StepImpossible as error:
            # To compare the answer is impossible: the step itself was carried out.
            raise StepFailed(str(error)) from None

    async def _write(self, action: Action, undo: Step, phase: str) -> Fault:
        fault = await self._ledger.open(
            phase=phase, action=action.name, do=action.do, undo=undo, timeout=action.undo_timeout
        )
        # From here on the undo is on disk. Only now may the fault be injected.
        self._open[fault.key] = fault
        if not self._ledger.is_held():
            # This process was stopped for longer than the lease, and has just been woken: the fault is
            # in the ledger, for whoever has taken the run over, and must not be injected any more.
            raise LeaseLost("the lease ran out before the fault was injected")
        return fault

    async def _inject(self, action: Action, fault: Fault) -> Observation:
        self._begun[fault.key] = fault
        try:
            seen = await self._act(action)
        except StepNotSent as error:
            self._forget(fault)
            await self._ledger.mark_not_injected(fault, str(error))
            raise
        except asyncio.CancelledError:
            self._cut_off.add(fault.key)
            raise
        await self._ledger.mark_active(fault)
        del self._begun[fault.key]
        return seen

    async def take_back(self, faults: Sequence[Fault], delays: Sequence[float]) -> list[Fault]:
        """Undo the faults in this order; return those whose undo still fails."""
        remaining = await take_back(
            faults, ledger=self._ledger, steps=self._steps, clock=self._clock, delays=delays
        )
        for fault in faults:
            if fault not in remaining:
                self._forget(fault)
        return remaining

    async def take_back_all(self, faults: Sequence[Fault], delays: Sequence[float]) -> None:
        """Undo the faults in this order; a second time, after the others, those that were cut off.

        A slow target goes on with what it was asked, whoever has hung up: it may only be broken when the
        first undo has been and gone.
        """
        late = [fault for fault in faults if fault.key in self._cut_off]
        await take_back_once(late, self._steps)
        await self.take_back([fault for fault in faults if fault not in late], delays)
        if late:
            await self._clock.sleep(LATE_SECONDS)
            await self.take_back(late, delays)

    async def take_back_lost(self, *, unreachable: bool) -> None:
        """The run is another's now: undo, without the ledger, what that one may not have undone.

        Who took the run over may have undone a fault before its injection arrived: this process was
        stopped in between. An undo is safe to repeat; a fault left behind is not. Where the ledger cannot
        be reached, there may be nobody else: then it is everything this process has injected.
        """
        left = self._open if unreachable else self._begun
        await take_back_without_ledger(list(left.values())[::-1], steps=self._steps, clock=self._clock)

    def _forget(self, fault: Fault) -> None:
        self._open.pop(fault.key, None)
        self._begun.pop(fault.key, None)
