"""Judges validations of loads: at the end of a phase, or by the last seconds, again and again."""

import asyncio
import operator
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from scenarios.domain.durations import format_duration
from scenarios.domain.load_tally import Tally
from scenarios.domain.load_values import format_figure, format_threshold
from scenarios.domain.plan import MIN_SAMPLES, WINDOW_SECONDS, Limit, LoadValidation, Phase
from scenarios.engine.loads import Loads
from scenarios.engine.observations import Observation
from scenarios.engine.validations import Judgement
from scenarios.ports import Clock

COMPARE = {
    "at_most": operator.le,
    "at_least": operator.ge,
    "below": operator.lt,
    "above": operator.gt,
}


class LoadJudge:
    """Judges one validation. `changed` is called with the first window, and each time the answer changes."""

    def __init__(
        self,
        validation: LoadValidation,
        phase: Phase,
        number: int,
        *,
        loads: Loads,
        clock: Clock,
        phase_over: asyncio.Event,
        changed: Callable[[Observation], Awaitable[None]],
    ) -> None:
        self._validation = validation
        self._phase = phase
        self._number = number
        self._loads = loads
        self._clock = clock
        self._phase_over = phase_over
        self._changed = changed
        self._last: Observation | None = None
        self._attempts = 0

    async def judge(self) -> Judgement:
        if self._validation.within is not None:
            return await self._judge_within(self._validation.within)
        await self._phase_over.wait()
        name = self._validation.load
        if not await self._loads.settle(name, self._phase):
            return _give_up("the process that sends the load has not reported all answers")
        measured = self._loads.get_measurements(name)
        tally = measured.tally(self._number)
        if reason := measured.explain_lateness(self._number) or self._explain_few(tally):
            return _give_up(reason, measured.compute_figures(tally))
        seen = self._compare(tally)
        await self._changed(seen)
        return Judgement("passed" if seen.holds else "failed", seen, seen.reason)

    def _explain_few(self, tally: Tally) -> str:
        for limit in self._validation.limits:
            needed = MIN_SAMPLES.get(limit.figure, 1)
            if tally.answered < needed:
                return (
                    f"{limit.figure!r} needs at least {needed} requests, and the phase had {tally.answered}"
                )
        return ""

    def _compare(self, tally: Tally) -> Observation:
        figures = self._loads.get_measurements(self._validation.load).compute_figures(tally)
        misses = [
            miss for limit in self._validation.limits if (miss := self._find_miss(limit, figures, tally))
        ]
        kept = {name: value for name, value in figures.items() if value is not None}
        return Observation(holds=not misses, reason="; ".join(misses), fields=kept)

    def _find_miss(self, limit: Limit, figures: Mapping[str, Any], tally: Tally) -> str:
        """Why the limit does not hold; "" if it does."""
        needed = MIN_SAMPLES.get(limit.figure, 1)
        if limit.figure in (*MIN_SAMPLES, "p50", "max") and tally.latency.count < needed:
            return f"{limit.figure!r} cannot be told: {tally.describe_errors()} had no answer"
        value = figures[limit.figure]
        if value is None:
            return f"{limit.figure!r} cannot be told: no request is answered yet"
        threshold = self._loads.compute_threshold(self._validation.load, limit)
        if threshold is None:
            return f"{limit.figure!r} cannot be compared: the baseline has none"
        if COMPARE[limit.matcher](value, threshold):
            return ""
        wanted = format_figure(limit.figure, threshold)
        if limit.threshold.is_multiple:
            wanted += f" ({format_threshold(limit.figure, limit.threshold)} the baseline)"
        about = f" ({tally.describe_errors()})" if limit.figure in {"error_rate", "rate"} else ""
        word = limit.matcher.replace("_", " ")
        return f"{limit.figure!r} is {format_figure(limit.figure, value)}{about}, not {word} {wanted}"

    async def _judge_within(self, within: float) -> Judgement:
        """A window must begin to hold before the time is up, and then every window during `for`.

        A window that holds has held since its beginning, because that is when users saw it.
        """
        begun = self._clock.monotonic()
        holding_since: float | None = None
        while True:
            turn = self._clock.monotonic() + self._validation.every
            seen = await self._look()
            now = self._clock.monotonic()
            holding_since = (now if holding_since is None else holding_since) if seen.holds else None
            if holding_since is not None and now - holding_since >= (self._validation.hold_for or 0.0):
                since = max(0.0, holding_since - begun - WINDOW_SECONDS)
                return Judgement("passed", seen, "", self._attempts, since)
            if holding_since is None and now - begun >= within:
                reason = f"not within {format_duration(within)}; seen last: {seen.reason}"
                return Judgement("failed", seen, reason, self._attempts)
            await self._clock.sleep(max(0.0, turn - now))

    async def _look(self) -> Observation:
        self._attempts += 1
        tally = self._loads.get_measurements(self._validation.load).read_window(self._number)
        if tally is None:
            window = format_duration(WINDOW_SECONDS)
            return Observation(holds=False, reason=f"the phase has not measured {window} yet")
        seen = self._compare(tally)
        if self._last is None or self._last.holds != seen.holds:
            await self._changed(seen)
        self._last = seen
        return seen


def _give_up(reason: str, fields: Mapping[str, Any] | None = None) -> Judgement:
    kept = {name: value for name, value in (fields or {}).items() if value is not None}
    return Judgement("errored", Observation(holds=False, reason=reason, fields=kept), reason)
