"""Judges the validations of the phases, and records what came of them."""

import asyncio
from collections.abc import Callable
from functools import partial

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.looks import Look
from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import LoadValidation, Phase, Plan, Validation
from scenarios.domain.trace_context import in_attempt
from scenarios.engine.load_judgements import LoadJudge
from scenarios.engine.loads import Loads
from scenarios.engine.observations import Observation
from scenarios.engine.phase_ends import EndRun, PhaseEnd
from scenarios.engine.records import Recorder
from scenarios.engine.steps import StepRunner
from scenarios.engine.validations import JUDGEMENT_KINDS, Judge, Judgement
from scenarios.ports import Clock

# Called with each look of a validation; never waits.
NoteLook = Callable[[str, Validation, Look], None]


class PhaseValidations:
    """The validations of one run. `fail` is called with the phase and the reason when one does not hold."""

    def __init__(
        self,
        plan: Plan,
        *,
        steps: StepRunner,
        clock: Clock,
        recorder: Recorder,
        end: EndRun,
        fail: Callable[[Phase, str], None],
        note_look: NoteLook,
        loads: Loads,
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._clock = clock
        self._recorder = recorder
        self._end = end
        self._fail = fail
        self._note_look = note_look
        self._loads = loads

    async def validate(self, phase: Phase, validation: Validation, end: PhaseEnd) -> None:
        async def changed(seen: Observation) -> None:
            kind = EventKind.VALIDATION_HOLDING if seen.holds else EventKind.VALIDATION_NOT_HOLDING
            await self._recorder.record(kind, phase, validation.name, reason=seen.reason, seen=seen.fields)

        await self._recorder.record(EventKind.VALIDATION_STARTED, phase, validation.name)
        judge = Judge(
            validation,
            steps=self._steps,
            clock=self._clock,
            phase_over=end.over,
            phase_ends_at=end.find_moment,
            changed=changed,
            looked=partial(self._note_look, phase.name, validation),
        )
        with in_attempt("validation", phase.name, validation.name):
            judgement = await judge.judge()
        if judgement.outcome == "passed":
            self._steps.note_saved(judgement.last.saved, is_sensitive=validation.probe.sensitive)
        await self._follow_judgement(phase, validation, judgement)

    async def validate_load(
        self, phase: Phase, validation: LoadValidation, phase_over: asyncio.Event
    ) -> None:
        async def changed(seen: Observation) -> None:
            kind = EventKind.VALIDATION_HOLDING if seen.holds else EventKind.VALIDATION_NOT_HOLDING
            await self._recorder.record(kind, phase, validation.name, reason=seen.reason, seen=seen.fields)

        await self._recorder.record(EventKind.VALIDATION_STARTED, phase, validation.name)
        judge = LoadJudge(
            validation,
            phase,
            self._loads.find_number(phase),
            loads=self._loads,
            clock=self._clock,
            phase_over=phase_over,
            changed=changed,
        )
        await self._follow_judgement(phase, validation, await judge.judge())

    async def _follow_judgement(
        self, phase: Phase, validation: Validation | LoadValidation, judgement: Judgement
    ) -> None:
        await self._record_judgement(phase, validation, judgement)
        if judgement.outcome == "errored":
            reason = f"validation {validation.name!r} could not be evaluated: {judgement.reason}"
            self._end(Outcome.ERRORED, reason)
        elif judgement.outcome == "failed":
            self._fail(phase, f"validation {validation.name!r} failed: {judgement.reason}")

    async def _record_judgement(
        self, phase: Phase, validation: Validation | LoadValidation, judgement: Judgement
    ) -> None:
        await self._recorder.record(
            JUDGEMENT_KINDS[judgement.outcome],
            phase,
            validation.name,
            reason=judgement.reason,
            attempts=judgement.attempts,
            time_to_pass=judgement.time_to_pass,
            seen=judgement.last.fields,
        )
