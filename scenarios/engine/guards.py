"""Watches the guards of a run, from its first phase to its last."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from scenarios.domain.errors import StepImpossible
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import Guard
from scenarios.engine.observations import Observation, observe
from scenarios.engine.phase_ends import EndRun
from scenarios.engine.records import Recorder
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock

# Seconds that a run, which is otherwise over, waits for the first look of each guard.
FIRST_LOOK_SECONDS = 30.0


class GuardWatch:
    """The guards of one run; one that trips ends it."""

    def __init__(
        self, guards: Sequence[Guard], *, steps: StepRunner, clock: Clock, recorder: Recorder, end: EndRun
    ) -> None:
        self._guards = guards
        self._steps = steps
        self._clock = clock
        self._recorder = recorder
        self._end = end
        self._looked = {guard.name: asyncio.Event() for guard in guards}
        # Why the latest look of a guard did not hold, until one does.
        self._never_held: dict[str, Observation | None] = dict.fromkeys(self._looked)

    def list_watchers(self) -> list[Coroutine[Any, Any, None]]:
        """One for each guard, to be run beside the phases and cancelled after them."""
        return [self._watch_guard(guard) for guard in self._guards]

    async def await_first_looks(self) -> None:
        """A guard that has never looked, or never held, has guarded nothing: the run does not pass."""
        looks = [asyncio.create_task(looked.wait()) for looked in self._looked.values()]
        waiting = asyncio.create_task(self._clock.sleep(FIRST_LOOK_SECONDS))
        try:
            while not waiting.done() and not all(look.done() for look in looks):
                undone = [look for look in looks if not look.done()]
                await asyncio.wait({waiting, *undone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiting, *looks):
                task.cancel()
        if blind := [name for name, looked in self._looked.items() if not looked.is_set()]:
            names = ", ".join(map(repr, blind))
            self._end(Outcome.ERRORED, f"no look of guard {names} was over before the run's end")
        for name, seen in list(self._never_held.items()):
            if seen is not None:
                await self._trip(name, f"it has not held once; seen last: {seen.reason}", seen)
        await self._clock.sleep(
            0
        )  # the cancellation arrives here, also that of a guard that has just tripped

    async def _watch_guard(self, guard: Guard) -> None:
        failures = 0
        while True:
            started = self._clock.monotonic()
            try:
                seen = await observe(self._steps, guard.probe, guard.expect, guard.timeout)
            except StepImpossible as error:
                return self._end(Outcome.ERRORED, f"guard {guard.name!r} could not be evaluated: {error}")
            failures = 0 if seen.holds else failures + 1
            if seen.holds:
                self._never_held.pop(guard.name, None)
            elif guard.name in self._never_held:
                self._never_held[guard.name] = seen
            if failures > guard.tolerate:
                return await self._trip(guard.name, seen.reason, seen)
            self._looked[guard.name].set()
            await self._clock.sleep(max(0.0, started + guard.every - self._clock.monotonic()))

    async def _trip(self, name: str, reason: str, seen: Observation) -> None:
        await self._recorder.record(EventKind.GUARD_TRIPPED, subject=name, reason=reason, seen=seen.fields)
        self._end(Outcome.ABORTED, f"guard {name!r} tripped: {reason}")
