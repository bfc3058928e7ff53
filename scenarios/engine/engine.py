"""Carries out a plan: asyncio alone, told of time by its clock, writing through its journal and ledger.

How it reads: `carry_out` runs the phases in one task, the body. Whatever ends the run early (a failed
validation, a guard, a stop, the timeout) calls `end`, which notes the first reason and cancels the
body; the cancellation unwinds every probe and wait. Then every fault still in the ledger is taken back.
Where a fault is written before it is injected, and why, stands in injection.py.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import LeaseLost, LedgerUnreachable, StepFailed, StepImpossible
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Validation
from scenarios.engine import preflight
from scenarios.engine.injection import Injector
from scenarios.engine.observations import Observation, observe
from scenarios.engine.rollback import UNDO_DELAYS, finish
from scenarios.engine.steps import StepRunner
from scenarios.engine.validations import JUDGEMENT_KINDS, Judge, Judgement
from scenarios.ports import Clock, Driver, Event, Gate, Journal, Ledger, Surroundings

# Where the worker is being shut down there is time for one more try; the rest is the watchdog's.
SHUTDOWN_DELAYS = (0.5,)
# Validations that begin in one round of the event loop: a thousand would keep it from the lease and the stop.
BEGUN_AT_ONCE = 16


class Engine:
    """One run of one plan. `end` and `abandon` may be called from the event loop's thread at any time.

    `late_seconds`: how long an injection that was not answered may still arrive.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        drivers: Mapping[str, Driver],
        surroundings: Surroundings,
        clock: Clock,
        journal: Journal,
        ledger: Ledger,
        late_seconds: float = 0.0,
        gate: Gate | None = None,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._journal = journal
        self._ledger = ledger
        self._steps = StepRunner(drivers, surroundings, clock, gate=gate)
        self._injector = Injector(steps=self._steps, ledger=ledger, clock=clock, late_seconds=late_seconds)
        self._body: asyncio.Task[None] | None = None
        self._rollback: asyncio.Task[Rollback] | None = None
        self._ending: Verdict | None = None
        self._first_failure: str | None = None
        self._lost = False
        self._unreachable = False
        self._is_going_down = False
        self._is_undoing = False

    def end(self, outcome: Outcome, reason: str) -> None:
        """End the run with this outcome; its faults are then undone. The first call decides."""
        if self._ending is None:
            self._ending = Verdict(outcome, reason)
            self._cancel_body()
        if outcome is Outcome.INTERRUPTED:
            self._is_going_down = True
            if self._rollback is not None and self._is_undoing:
                # What cannot be undone now is left to the watchdog. Not before the first round has begun:
                # signals often come in twos, and the second must not keep every fault injected.
                self._rollback.cancel()

    def abandon(self, *, taking_back: bool = False) -> None:
        """End without another write: another process has taken the run over, with its faults.

        With `taking_back` nobody may have: the ledger cannot be reached. What this process knows to be
        injected is undone then without it, and once more by whoever finds it in the ledger later.
        """
        self._lost = True
        self._unreachable = self._unreachable or taking_back
        self._cancel_body()
        if self._rollback is not None:
            self._rollback.cancel()

    def _cancel_body(self) -> None:
        if self._body is not None:
            self._body.cancel()

    async def carry_out(self) -> Verdict:
        """Run the plan to its end and take every fault back.

        Raises:
            LeaseLost: another process has taken the run over, and undoes its faults.
        """
        self._body = asyncio.create_task(self._run_phases())
        if self._ending is not None or self._lost:
            self._body.cancel()
        await self._settle(self._body)
        if not self._body.cancelled() and (error := self._body.exception()) is not None:
            self._note_breakdown(error)
        broken: BaseException | None = None
        if not self._lost:
            self._rollback = asyncio.create_task(self._roll_back())
            await self._settle(self._rollback)
            if not self._rollback.cancelled() and (broken := self._rollback.exception()) is not None:
                self._note_breakdown(broken)
        if not self._lost and self._rollback is not None and broken is None:
            return self._verdict(self._rollback.result())
        # A ledger that broke in a way nobody foresaw is as good as one that cannot be reached.
        unreachable = self._unreachable or (broken is not None and not self._lost)
        await finish(asyncio.create_task(self._injector.take_back_lost(unreachable=unreachable)))
        if broken is not None and not self._lost:
            raise broken
        raise LeaseLost("another process has taken the run over, with its faults")

    async def _settle(self, task: asyncio.Task[Any]) -> None:
        """Wait for the task's end. A cancellation of this run from outside becomes `interrupted`."""
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                self.end(Outcome.INTERRUPTED, "the worker was shut down")

    def _note_breakdown(self, error: BaseException) -> None:
        """Something nobody foresaw broke the body. The faults must be taken back all the same."""
        causes = leaves(error)
        if any(isinstance(cause, LeaseLost) for cause in causes):
            self._lost = True
            # Once nobody may have taken the run over, it stays so: an undo too many does no harm.
            self._unreachable |= any(isinstance(cause, LedgerUnreachable) for cause in causes)
        else:
            sentences = "; ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
            self.end(Outcome.ERRORED, f"the run could not go on: {sentences}")

    def _verdict(self, rollback: Rollback) -> Verdict:
        if self._ending is not None:
            return Verdict(self._ending.outcome, self._ending.reason, rollback)
        if self._first_failure is not None:
            return Verdict(Outcome.FAILED, self._first_failure, rollback)
        return Verdict(Outcome.PASSED, "every validation held", rollback)

    # The phases

    async def _run_phases(self) -> None:
        await self._look_ahead()
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(self._expire())]
            watchers += [group.create_task(self._watch_guard(guard)) for guard in self._plan.guards]
            first_with_actions = next((phase for phase in self._plan.phases if phase.actions), None)
            for phase in self._plan.phases:
                if phase is first_with_actions:
                    await self._look_for_targets()
                await self._run_phase(phase)
            for watcher in watchers:
                watcher.cancel()

    async def _look_ahead(self) -> None:
        """What would stop a step later ends the run here, before anything is broken."""
        await self._end_for(preflight.find_problems(self._plan, self._steps))

    async def _look_for_targets(self) -> None:
        """The first fault is only injected where the targets of all faults are there."""
        to_reach = preflight.steps_to_reach(self._plan, self._steps)
        await self._end_for(await preflight.find_unreachable(to_reach, self._steps))

    async def _end_for(self, problems: list[str]) -> None:
        if problems:
            self.end(Outcome.ERRORED, "; ".join(problems))
            await self._clock.sleep(0)  # the cancellation arrives here

    async def _expire(self) -> None:
        await self._clock.sleep(self._plan.timeout)
        self.end(Outcome.TIMED_OUT, f"the run reached its timeout of {format_duration(self._plan.timeout)}")

    async def _watch_guard(self, guard: Guard) -> None:
        failures = 0
        while True:
            started = self._clock.monotonic()
            try:
                seen = await observe(self._steps, guard.probe, guard.expect, guard.timeout)
            except StepImpossible as error:
                return self.end(Outcome.ERRORED, f"guard {guard.name!r} could not be evaluated: {error}")
            failures = 0 if seen.holds else failures + 1
            if failures > guard.tolerate:
                await self._record(
                    EventKind.GUARD_TRIPPED, subject=guard.name, reason=seen.reason, seen=seen.fields
                )
                return self.end(Outcome.ABORTED, f"guard {guard.name!r} tripped: {seen.reason}")
            await self._clock.sleep(max(0.0, started + guard.every - self._clock.monotonic()))

    async def _run_phase(self, phase: Phase) -> None:
        started = self._clock.monotonic()
        await self._record(EventKind.PHASE_STARTED, phase, hold=phase.hold)
        async with asyncio.TaskGroup() as group:
            timed = [
                group.create_task(self._act_at(a, phase, started)) for a in phase.actions if a.at is not None
            ]
            for action in phase.actions:
                if action.at is None:
                    await self._act(action, phase)
            over = asyncio.Event()
            watched = []
            for validation in phase.validations:
                watched.append((validation, group.create_task(self._validate(phase, validation, over))))
                if len(watched) % BEGUN_AT_ONCE == 0:
                    await self._clock.sleep(0)
            await self._clock.sleep(max(0.0, started + phase.hold - self._clock.monotonic()))
            finite = [task for validation, task in watched if not validation.throughout]
            if timed or finite:
                await asyncio.wait([*timed, *finite])
            over.set()
        await self._end_phase(phase)

    async def _end_phase(self, phase: Phase) -> None:
        of_phase = {action.name for action in phase.actions if action.until == "phase"}
        faults = [f for f in await self._ledger.remaining() if f.phase == phase.name and f.action in of_phase]
        remaining = await self._injector.take_back(faults, UNDO_DELAYS)
        await self._record(EventKind.PHASE_FINISHED, phase)
        if remaining:
            names = ", ".join(repr(fault.action) for fault in remaining)
            self.end(Outcome.ERRORED, f"the undo of {names} still fails")
            await self._clock.sleep(0)

    # Actions

    async def _act_at(self, action: Action, phase: Phase, phase_started: float) -> None:
        assert action.at is not None  # noqa: S101 - the caller has chosen those with a moment
        await self._clock.sleep(max(0.0, phase_started + action.at - self._clock.monotonic()))
        await self._act(action, phase)

    async def _act(self, action: Action, phase: Phase) -> None:
        await self._record(EventKind.ACTION_STARTED, phase, action.name, driver=action.do.driver)
        try:
            seen = await self._injector.act(action, phase.name)
        except StepFailed as error:
            await self._action_failed(action, phase, str(error))
            reason = f"action {action.name!r} of phase {phase.name!r} failed: {error}"
            self.end(Outcome.ERRORED, reason)
        else:
            if seen.holds:
                await self._record(EventKind.ACTION_FINISHED, phase, action.name, seen=seen.fields)
                return
            await self._action_failed(action, phase, seen.reason, seen=seen.fields)
            self._check_failed(phase, f"action {action.name!r} of phase {phase.name!r} failed: {seen.reason}")
        await self._clock.sleep(0)  # the cancellation arrives here: nothing after this action is begun

    async def _action_failed(self, action: Action, phase: Phase, reason: str, **seen: Any) -> None:
        is_fault = action.undo is not None
        await self._record(
            EventKind.ACTION_FAILED,
            phase,
            action.name,
            reason=reason,
            driver=action.do.driver,
            fault=is_fault,
            **seen,
        )

    # Validations

    async def _validate(self, phase: Phase, validation: Validation, phase_over: asyncio.Event) -> None:
        async def changed(seen: Observation) -> None:
            kind = EventKind.VALIDATION_HOLDING if seen.holds else EventKind.VALIDATION_NOT_HOLDING
            await self._record(kind, phase, validation.name, reason=seen.reason, seen=seen.fields)

        await self._record(EventKind.VALIDATION_STARTED, phase, validation.name)
        judge = Judge(
            validation, steps=self._steps, clock=self._clock, phase_over=phase_over, changed=changed
        )
        judgement = await judge.judge()
        await self._record_judgement(phase, validation, judgement)
        if judgement.outcome == "errored":
            reason = f"validation {validation.name!r} could not be evaluated: {judgement.reason}"
            self.end(Outcome.ERRORED, reason)
        elif judgement.outcome == "failed":
            self._check_failed(phase, f"validation {validation.name!r} failed: {judgement.reason}")

    async def _record_judgement(self, phase: Phase, validation: Validation, judgement: Judgement) -> None:
        await self._record(
            JUDGEMENT_KINDS[judgement.outcome],
            phase,
            validation.name,
            reason=judgement.reason,
            attempts=judgement.attempts,
            time_to_pass=judgement.time_to_pass,
            seen=judgement.last.fields,
        )

    def _check_failed(self, phase: Phase, reason: str) -> None:
        if self._first_failure is None:
            self._first_failure = reason
        if phase.on_failure == "stop":
            self.end(Outcome.FAILED, reason)

    # Rollback and journal

    async def _roll_back(self) -> Rollback:
        """Take back whatever the ledger still holds. Cancelled while undoing, it ends after the round."""
        faults = await self._ledger.remaining()
        if not faults:
            return await self._ledger.rollback()
        await self._journal.record(
            Event(EventKind.ROLLBACK_STARTED, self._clock.now(), detail={"faults": len(faults)})
        )
        delays = SHUTDOWN_DELAYS if self._is_going_down else UNDO_DELAYS
        self._is_undoing = True
        with suppress(asyncio.CancelledError):
            await self._injector.take_back(faults, delays)
        self._is_undoing = False
        return await self._ledger.rollback()

    async def _record(
        self, kind: EventKind, phase: Phase | None = None, subject: str = "", **detail: Any
    ) -> None:
        where = phase.name if phase is not None else ""
        kept = {name: value for name, value in detail.items() if value not in (None, "", {})}
        await self._journal.record(Event(kind, self._clock.now(), where, subject, kept))


def leaves(error: BaseException) -> list[BaseException]:
    """The plain exceptions in a group, or the one that it is."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]
