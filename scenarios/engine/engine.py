"""Carries out a plan on asyncio. Time comes from its clock; everything is written by its journal and ledger.

How it reads: `carry_out` runs the phases (phases.py), then undoes every fault that is still in the ledger
(rollback.py). Whatever ends the run early calls `end`; stages.py has the rules of what follows from that.
injection.py says why a fault is written before it is injected.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from scenarios.domain.errors import LeaseLost, LedgerUnreachable
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.looks import Look
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Plan, Validation
from scenarios.engine.injection import Injector
from scenarios.engine.loads import Loads, SoFar
from scenarios.engine.phase_validations import NoteLook
from scenarios.engine.phases import Phases
from scenarios.engine.rollback import finish
from scenarios.engine.stages import ALL_HELD, NOTHING_CHECKED, Signal, Stage, Stages
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Driver, Event, Fault, Gate, Journal, Ledger, LoadStarter, Platform

T = TypeVar("T")
# While the worker shuts down, there is time for one more try; the watchdog does the rest.
SHUTDOWN_DELAYS = (0.5,)


def ignore_look(phase: str, validation: Validation, look: Look) -> None:
    del phase, validation, look


class Engine:
    """One run of one plan. `end` and `abandon` may be called from the event loop's thread at any time.

    `late_seconds`: how long an injection that was not answered may still arrive. `fault_lease_seconds`: how
    long a fault that ends by itself lasts without being renewed. `note_look` is called with each look of a
    validation.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        drivers: Mapping[str, Driver],
        platform: Platform,
        clock: Clock,
        journal: Journal,
        ledger: Ledger,
        late_seconds: float = 0.0,
        fault_lease_seconds: float = 10.0,
        gate: Gate | None = None,
        note_look: NoteLook = ignore_look,
        load_starter: LoadStarter | None = None,
    ) -> None:
        steps = StepRunner(drivers, platform, clock, gate=gate)
        self._clock = clock
        self._journal = journal
        self._ledger = ledger
        self._injector = Injector(
            steps=steps,
            ledger=ledger,
            clock=clock,
            late_seconds=late_seconds,
            lease_seconds=fault_lease_seconds,
            lost=self._lose_fault,
        )
        self._stages = Stages(ALL_HELD if plan.checks_anything() else NOTHING_CHECKED)
        self._loads = Loads(
            plan, steps=steps, starter=load_starter, clock=clock, journal=journal, end=self.end
        )
        self._phases = Phases(
            plan,
            steps=steps,
            injector=self._injector,
            clock=clock,
            journal=journal,
            ledger=ledger,
            end=self.end,
            note_failure=self._stages.note_failure,
            note_look=note_look,
            loads=self._loads,
        )
        self._task: asyncio.Task[Any] | None = None

    def end(self, outcome: Outcome, reason: str) -> None:
        """End the run with this outcome; its faults are then undone. The first call decides."""
        if self._stages.end(outcome, reason):
            self._cancel()

    def abandon(self, *, is_cut_off: bool = False) -> None:
        """End without another write: another process has taken the run over, with its faults.

        With `is_cut_off`, perhaps no process has: the ledger cannot be reached. Then what this process knows
        to be injected is undone without the ledger, and again by the process that later finds it there.
        """
        self._stages.move(Signal.CUT_OFF if is_cut_off else Signal.LOSE)
        self._cancel()

    def list_loads_so_far(self) -> list[SoFar]:
        """What the loads that are being sent have measured."""
        return self._loads.list_so_far()

    def _lose_fault(self, fault: Fault, reason: str) -> None:
        self._phases.lose(fault, reason)

    def _cancel(self) -> None:
        self._loads.kill()
        if self._task is not None:
            self._task.cancel()

    async def carry_out(self) -> Verdict:
        """Run the plan to its end and undo every fault.

        Raises:
            LeaseLost: another process has taken the run over, and undoes its faults.
        """
        self._stages.move(Signal.BEGIN)
        if self._stages.stage is Stage.RUNNING:
            try:
                await self._run_to_end(self._phases.run())
            finally:
                self._loads.kill()
        self._stages.move(Signal.PHASES_OVER)
        breakdown: BaseException | None = None
        if not self._stages.is_lost:
            rolling_back = await self._run_to_end(self._roll_back())
            if self._stages.stage is Stage.ENDED:
                return self._stages.verdict(rolling_back.result())
            if not self._stages.is_lost:
                # A ledger that fails in an unexpected way is treated as one that cannot be reached.
                self._stages.move(Signal.CUT_OFF)
                breakdown = None if rolling_back.cancelled() else rolling_back.exception()
        is_cut_off = self._stages.stage is Stage.CUT_OFF
        await finish(asyncio.create_task(self._injector.undo_without_ledger(is_cut_off=is_cut_off)))
        raise breakdown or LeaseLost("another process has taken the run over, with its faults")

    async def _run_to_end(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Wait for its end. A cancellation of this run from outside becomes `interrupted`."""
        self._task = task = asyncio.create_task(coroutine)
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                self.end(Outcome.INTERRUPTED, "the worker was shut down")
        if not task.cancelled() and (error := task.exception()) is not None:
            self._handle_breakdown(error)
        return task

    def _handle_breakdown(self, error: BaseException) -> None:
        """After an unexpected error, or the loss of the lease, the faults must still be undone."""
        causes = leaves(error)
        if any(isinstance(cause, LedgerUnreachable) for cause in causes):
            self._stages.move(Signal.CUT_OFF)
        elif any(isinstance(cause, LeaseLost) for cause in causes):
            self._stages.move(Signal.LOSE)
        else:
            sentences = "; ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
            self.end(Outcome.ERRORED, f"the run could not go on: {sentences}")

    async def _roll_back(self) -> Rollback:
        """Undo every fault that the ledger holds. Cancelled while it undoes, it ends after the round."""
        if faults := await self._ledger.remaining():
            detail = {"faults": len(faults)}
            await self._journal.record(Event(EventKind.ROLLBACK_STARTED, self._clock.now(), detail=detail))
            delays = SHUTDOWN_DELAYS if self._stages.is_shutting_down else None
            self._stages.move(Signal.START_UNDO)
            try:
                await self._injector.undo(faults, delays)
            except asyncio.CancelledError:
                if self._stages.is_lost:
                    raise
        self._stages.move(Signal.UNDO_OVER)
        await self._loads.record_end()
        rollback = await self._ledger.rollback()
        self._stages.move(Signal.FINISH)
        return rollback


def leaves(error: BaseException) -> list[BaseException]:
    """The plain exceptions in a group, or the one that it is."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]
