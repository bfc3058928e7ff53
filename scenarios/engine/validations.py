"""Judges validations: once, within a time, or throughout a phase."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepImpossible
from scenarios.domain.event_kinds import EventKind, StepOutcome
from scenarios.domain.looks import Look
from scenarios.domain.plan import Validation
from scenarios.domain.sizes import format_share
from scenarios.domain.trace_context import in_look
from scenarios.engine.observations import Observation, observe
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock

JUDGEMENT_KINDS = {
    "passed": EventKind.VALIDATION_PASSED,
    "failed": EventKind.VALIDATION_FAILED,
    "errored": EventKind.VALIDATION_ERRORED,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """`time_to_pass`: seconds from a `within` validation's start to the moment it began to hold."""

    outcome: StepOutcome
    last: Observation
    reason: str = ""
    attempts: int = 1
    time_to_pass: float | None = None


def _count_needed(share: float, looks: int) -> int:
    """How many of the looks must hold. 99% of 100 are 99, whatever floating point makes of it."""
    return math.ceil(share * looks - 1e-9)


class Judge:
    """Judges one validation. `changed` is called with the first attempt, and each time the answer changes;
    `looked` with every attempt. `phase_ends_at` returns the monotonic moment of the phase's end, once it is
    known.
    """

    def __init__(
        self,
        validation: Validation,
        *,
        steps: StepRunner,
        clock: Clock,
        phase_over: asyncio.Event,
        phase_ends_at: Callable[[], float | None],
        changed: Callable[[Observation], Awaitable[None]],
        looked: Callable[[Look], None],
    ) -> None:
        self._validation = validation
        self._expect = validation.expect
        self._steps = steps
        self._clock = clock
        self._phase_over = phase_over
        self._phase_ends_at = phase_ends_at
        self._changed = changed
        self._looked = looked
        self._last: Observation | None = None
        self._last_answer: Observation | None = None
        self._attempts = 0

    async def judge(self) -> Judgement:
        try:
            self._expect = self._steps.saved.fill_expectations(self._validation.expect)
            if self._validation.success is not None:
                return await self._judge_share(self._validation.success)
            if self._validation.throughout:
                return await self._judge_throughout()
            if self._validation.within is not None:
                return await self._judge_within(self._validation.within)
            seen = await self._attempt(self._validation.timeout)
        except StepImpossible as error:
            return self._build_judgement(
                "errored", Observation(holds=False, reason=str(error)), reason=str(error)
            )
        return self._build_judgement("passed" if seen.holds else "failed", seen, reason=seen.reason)

    async def _attempt(self, time_limit: float) -> Observation:
        at, begun = self._clock.now(), self._clock.monotonic()
        with in_look(at.timestamp()):
            seen = await observe(
                self._steps, self._validation.probe, self._expect, time_limit, self._validation.save
            )
        measured = self._clock.monotonic() - begun
        elapsed = measured if seen.elapsed is None else seen.elapsed
        self._looked(Look(at.timestamp(), seen.holds, elapsed, seen.value))
        self._attempts += 1
        if self._last is None or self._last.holds != seen.holds:
            await self._changed(seen)
        self._last = seen
        if seen.answered:
            self._last_answer = seen
        return seen

    def _build_judgement(
        self,
        outcome: StepOutcome,
        seen: Observation,
        *,
        reason: str = "",
        time_to_pass: float | None = None,
    ) -> Judgement:
        return Judgement(outcome, seen, reason, self._attempts, time_to_pass)

    async def _judge_throughout(self) -> Judgement:
        while True:
            started = self._clock.monotonic()
            seen = await self._attempt(self._validation.timeout)
            if not seen.holds:
                return self._build_judgement("failed", seen, reason=seen.reason)
            if await self._phase_ends_before(started + self._validation.every):
                return self._build_judgement("passed", seen)

    async def _judge_share(self, wanted: float) -> Judgement:
        """Until the phase ends, or the share can no longer be reached."""
        held = 0
        missed = ""
        while True:
            started = self._clock.monotonic()
            seen = await self._attempt(self._validation.timeout)
            held += seen.holds
            missed = missed if seen.holds else seen.reason
            looks = self._attempts
            share = f"{held} of {looks} looks held ({format_share(held / looks)})"
            left = self._count_possible_looks(started + self._validation.every)
            if left is not None and held + left < _count_needed(wanted, looks + left):
                reason = f"{share}; {format_share(wanted)} can no longer be reached; seen last: {missed}"
                return self._build_judgement("failed", seen, reason=reason)
            if await self._phase_ends_before(started + self._validation.every):
                break
        if held >= _count_needed(wanted, looks):
            return self._build_judgement("passed", seen, reason=share)
        reason = f"{share}, fewer than {format_share(wanted)}; seen last: {missed}"
        return self._build_judgement("failed", seen, reason=reason)

    def _count_possible_looks(self, turn: float) -> int | None:
        """How many looks are still to come at most, the next one at `turn`; None if that is not known yet."""
        ends_at = self._phase_ends_at()
        if ends_at is None:
            return None
        # One more, because the phase may end a moment late.
        return max(0, math.floor((ends_at - turn) / self._validation.every) + 2)

    async def _phase_ends_before(self, moment: float) -> bool:
        try:
            async with self._clock.timeout(max(0.0, moment - self._clock.monotonic())):
                await self._phase_over.wait()
        except TimeoutError:
            return self._phase_over.is_set()
        return True

    async def _judge_within(self, within: float) -> Judgement:
        """It must begin to hold before the time is up, and then hold for `for` without a break."""
        begun = self._clock.monotonic()
        deadline = begun + within
        holding_since: float | None = None
        while True:
            started = self._clock.monotonic()
            seen = await self._attempt(self._time_limit(started, deadline, holding_since))
            now = self._clock.monotonic()
            holding_since = (now if holding_since is None else holding_since) if seen.holds else None
            if holding_since is not None and now - holding_since >= (self._validation.hold_for or 0.0):
                return self._build_judgement("passed", seen, time_to_pass=holding_since - begun)
            if holding_since is None and now >= deadline:
                return self._judge_too_late(within, seen)
            await self._clock.sleep(self._pause(started, now, deadline, holding_since))

    def _judge_too_late(self, within: float, seen: Observation) -> Judgement:
        """With the last complete answer first, where the last look got none: its time was short."""
        seen_last = seen.reason
        if not seen.answered and self._last_answer is not None:
            seen = replace(seen, fields=self._last_answer.fields)
            seen_last = f"{self._last_answer.reason or 'as expected'}; then {seen_last}"
        reason = f"not within {format_duration(within)}; seen last: {seen_last}"
        return self._build_judgement("failed", seen, reason=reason)

    def _time_limit(self, now: float, deadline: float, holding_since: float | None) -> float:
        if holding_since is not None:
            return self._validation.timeout
        return min(self._validation.timeout, max(deadline - now, 0.001))

    def _pause(self, started: float, now: float, deadline: float, holding_since: float | None) -> float:
        """To the next attempt: at its turn, but not after the moment that decides."""
        turn = started + self._validation.every
        decisive = deadline if holding_since is None else holding_since + (self._validation.hold_for or 0.0)
        return max(0.0, min(turn, decisive) - now)
