"""Carries out the phases of a plan: guards, timed actions and validations are tasks beside each other.

Whatever ends the run early (a failed validation, a guard, the timeout) calls `end`, which cancels `run`; the
cancellation unwinds every probe and wait.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import Action, Phase, Plan
from scenarios.domain.trace_context import in_attempt
from scenarios.engine import preflight
from scenarios.engine.guards import GuardWatch
from scenarios.engine.injection import Injector
from scenarios.engine.loads import Loads
from scenarios.engine.phase_ends import EndRun, PhaseEnd, Recovery
from scenarios.engine.phase_validations import NoteLook, PhaseValidations
from scenarios.engine.records import Recorder
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Fault, Journal, Ledger

# Validations that begin in one round of the event loop. A thousand would delay the lease and the stop.
VALIDATIONS_PER_ROUND = 16
# Between two looks for faults that are to be undone again, while there is one.
LATE_LOOK_SECONDS = 1.0


class Phases:
    """The phases of one run. `end` ends it; `note_failure` keeps a failure that does not end it at once."""

    def __init__(
        self,
        plan: Plan,
        *,
        steps: StepRunner,
        injector: Injector,
        clock: Clock,
        journal: Journal,
        ledger: Ledger,
        end: EndRun,
        note_failure: Callable[[str], None],
        note_look: NoteLook,
        loads: Loads,
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._injector = injector
        self._clock = clock
        self._recorder = Recorder(journal, clock)
        self._ledger = ledger
        self._end = end
        self._note_failure = note_failure
        self._loads = loads
        self._may_await = asyncio.Event()
        self._lost: asyncio.Queue[tuple[Fault, str]] = asyncio.Queue()
        self._recovery = Recovery()
        self._guards = GuardWatch(plan.guards, steps=steps, clock=clock, recorder=self._recorder, end=end)
        self._validations = PhaseValidations(
            plan,
            steps=steps,
            clock=clock,
            recorder=self._recorder,
            end=end,
            fail=self._handle_failure,
            note_look=note_look,
            loads=loads,
        )

    async def run(self) -> None:
        self._recovery.task = asyncio.current_task()
        await self._check_plan()
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(self._end_at_timeout())]
            watchers += [group.create_task(watcher) for watcher in self._guards.list_watchers()]
            watchers.append(group.create_task(self._undo_late_faults()))
            watchers.append(group.create_task(self._injector.renewals.run()))
            watchers.append(group.create_task(self._end_when_fault_is_lost()))
            await self._loads.start()
            watchers += [group.create_task(watcher) for watcher in self._loads.list_watchers()]
            first_with_actions = next((phase for phase in self._plan.phases if phase.actions), None)
            for phase in self._plan.phases:
                if phase is first_with_actions:
                    await self._loads.fix_baseline(phase)
                if phase.actions and self._recovery.failure:
                    continue
                if phase is first_with_actions:
                    await self._check_targets()
                    await self._end_if_any(self._loads.find_baseline_problems(phase))
                if await self._run_until_cut(phase):
                    await self._undo_cut_phase(phase)
            await self._guards.await_first_looks()
            for watcher in watchers:
                watcher.cancel()

    async def _check_plan(self) -> None:
        """What would stop a step later ends the run here, before anything is broken."""
        await self._end_if_any(preflight.find_problems(self._plan, self._steps))

    async def _check_targets(self) -> None:
        """The first fault is only injected where the targets of all faults are there."""
        to_reach = preflight.select_steps_to_reach(self._plan, self._steps)
        await self._end_if_any(await preflight.find_unreachable(to_reach, self._steps))

    async def _end_if_any(self, problems: list[str]) -> None:
        if problems:
            self._end(Outcome.ERRORED, "; ".join(problems))
            await self._clock.sleep(0)  # the cancellation arrives here

    async def _end_at_timeout(self) -> None:
        await self._clock.sleep(self._plan.timeout)
        self._end(Outcome.TIMED_OUT, f"the run reached its timeout of {format_duration(self._plan.timeout)}")

    def lose(self, fault: Fault, reason: str) -> None:
        """End the run because a fault ended too early, so that the run no longer shows what it should."""
        self._lost.put_nowait((fault, reason))

    async def _end_when_fault_is_lost(self) -> None:
        fault, reason = await self._lost.get()
        await self._ledger.mark_lost(fault, reason)
        self._end(Outcome.ERRORED, f"the fault of action {fault.action!r} was lost: {reason}")

    async def _run_until_cut(self, phase: Phase) -> bool:
        """Whether the phase was cut short because something failed in it."""
        self._recovery.begin(phase)
        try:
            await self._run_phase(phase)
        except asyncio.CancelledError:
            if not self._recovery.accept_cut():
                raise
            return True
        return False

    async def _undo_cut_phase(self, phase: Phase) -> None:
        """Undo everything: what the later phases see is how the target recovers."""
        self._loads.leave_phase()
        remaining: list[Fault] = []
        if faults := await self._ledger.remaining():
            await self._recorder.record(EventKind.ROLLBACK_STARTED, faults=len(faults))
            remaining = await self._injector.undo(faults)
            self._may_await.set()
        self._recovery.note_rollback()
        await self._loads.record_phase(phase)
        await self._recorder.record(EventKind.PHASE_FINISHED, phase)
        if remaining:
            self._end(Outcome.FAILED, self._recovery.failure)
            await self._clock.sleep(0)

    async def _run_phase(self, phase: Phase) -> None:
        started = self._clock.monotonic()
        self._loads.enter_phase(phase)
        await self._recorder.record(EventKind.PHASE_STARTED, phase, hold=phase.hold)
        async with asyncio.TaskGroup() as group:
            timed = [
                group.create_task(self._act_later(a, phase, started))
                for a in phase.actions
                if a.at is not None
            ]
            for action in phase.actions:
                if action.at is None:
                    await self._act(action, phase)
            end = PhaseEnd(started + phase.hold, timed)
            for number, validation in enumerate(phase.validations, start=1):
                task = group.create_task(self._validations.validate(phase, validation, end))
                if not validation.throughout:
                    end.awaited.append(task)
                if number % VALIDATIONS_PER_ROUND == 0:
                    await self._clock.sleep(0)
            for judged in phase.load_validations:
                task = group.create_task(self._validations.validate_load(phase, judged, end.over))
                if judged.within is not None:
                    end.awaited.append(task)
            await self._clock.sleep(max(0.0, end.hold_ends - self._clock.monotonic()))
            if end.awaited:
                await asyncio.wait(end.awaited)
            self._loads.leave_phase()
            end.over.set()
        await self._end_phase(phase)

    async def _end_phase(self, phase: Phase) -> None:
        of_phase = {action.name for action in phase.actions if action.until == "phase"}
        faults = [f for f in await self._ledger.remaining() if f.phase == phase.name and f.action in of_phase]
        remaining = await self._injector.undo(faults)
        if faults:
            self._may_await.set()
        await self._loads.record_phase(phase)
        await self._recorder.record(EventKind.PHASE_FINISHED, phase)
        if remaining:
            names = ", ".join(repr(fault.action) for fault in remaining)
            self._end(Outcome.ERRORED, f"the undo of {names} failed at the end of phase {phase.name!r}")
            await self._clock.sleep(0)

    async def _undo_late_faults(self) -> None:
        """Undo again, while the run goes on, what was undone and may have arrived since.

        After the run the watchdog does so.
        """
        while True:
            await self._may_await.wait()
            due = await self._ledger.due_again(self._clock.now())
            if due is None:
                self._may_await.clear()
                continue
            await self._injector.undo(due, ())
            await self._clock.sleep(LATE_LOOK_SECONDS)

    # Actions

    async def _act_later(self, action: Action, phase: Phase, phase_started: float) -> None:
        assert action.at is not None  # noqa: S101 - the caller has chosen those with a moment
        await self._clock.sleep(max(0.0, phase_started + action.at - self._clock.monotonic()))
        await self._act(action, phase)

    async def _act(self, action: Action, phase: Phase) -> None:
        await self._recorder.record(EventKind.ACTION_STARTED, phase, action.name, driver=action.do.driver)

        async def note_retry(reason: str) -> None:
            await self._recorder.record(EventKind.ACTION_RETRIED, phase, action.name, reason=reason)

        try:
            with in_attempt("action", phase.name, action.name):
                seen = await self._injector.act(action, phase.name, note_retry)
        except StepFailed as error:
            await self._record_failed_action(action, phase, str(error))
            reason = f"action {action.name!r} of phase {phase.name!r} failed: {error}"
            self._end(Outcome.ERRORED, reason)
        else:
            if seen.holds:
                await self._recorder.record(EventKind.ACTION_FINISHED, phase, action.name, seen=seen.fields)
                return
            await self._record_failed_action(action, phase, seen.reason, seen=seen.fields)
            self._handle_failure(
                phase, f"action {action.name!r} of phase {phase.name!r} failed: {seen.reason}"
            )
        await self._clock.sleep(0)  # the cancellation arrives here: nothing after this action is begun

    async def _record_failed_action(self, action: Action, phase: Phase, reason: str, **seen: Any) -> None:
        is_fault = action.undo is not None
        await self._recorder.record(
            EventKind.ACTION_FAILED,
            phase,
            action.name,
            reason=reason,
            driver=action.do.driver,
            fault=is_fault,
            **seen,
        )

    def _handle_failure(self, phase: Phase, reason: str) -> None:
        self._note_failure(reason)
        if phase.on_failure == "stop":
            self._end(Outcome.FAILED, reason)
        elif phase.on_failure == "recover":
            self._recovery.start(reason)
