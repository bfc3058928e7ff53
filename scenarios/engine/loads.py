"""The loads of a run: each is sent by a process of its own, which this starts, follows and ends.

The engine never waits for a sender while it stops or undoes: the senders are killed first.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.load_tally import Tally
from scenarios.domain.load_values import format_figure
from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import MAX_REQUESTS, MIN_SAMPLES, Limit, Load, LoadValidation, Phase, Plan
from scenarios.engine.load_measurements import BETWEEN_PHASES, Figures, Measurements
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Connection, Event, Journal, LoadStarter, RunningLoad

# Seconds that a process may take until it is ready, or after a timeout until it has reported it.
START_SECONDS = 60.0
REPORT_SECONDS = 60.0
BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SoFar:
    """A load that is being sent: the figures of the present phase, "" between two, and a short curve."""

    name: str
    began_at: datetime | None
    phase: str
    figures: Figures
    points: Sequence[Sequence[Any]]


@dataclass(slots=True)
class Sending:
    """A load that is being sent. `changed` is set with each report."""

    load: Load
    running: RunningLoad
    measured: Measurements
    connections: Sequence[Connection] = ()
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    baseline: Figures | None = None


class Loads:
    """`end` ends the run. Without a plan with loads, nothing here does anything."""

    def __init__(
        self,
        plan: Plan,
        *,
        steps: StepRunner,
        starter: LoadStarter | None,
        clock: Clock,
        journal: Journal,
        end: Callable[[Outcome, str], None],
    ) -> None:
        self._plan = plan
        self._steps = steps
        self._starter = starter
        self._clock = clock
        self._journal = journal
        self._end = end
        self._sent: dict[str, Sending] = {}
        self._phase = BETWEEN_PHASES
        self._began_at: datetime | None = None
        self._unrecorded: Phase | None = None
        self._is_killed = False
        # By their names, because to compare whole phases takes long in a plan of a thousand.
        self._numbers = {phase.name: number for number, phase in enumerate(plan.phases)}

    def find_number(self, phase: Phase) -> int:
        """The phase's place in the plan, from 0."""
        return self._numbers[phase.name]

    async def start(self) -> None:
        """Start all senders, and wait until each is ready; the first phase begins them."""
        for load in self._plan.loads:
            problem = await self._start_load(load)
            if problem:
                self._end(Outcome.ERRORED, f"load {load.name!r} cannot be sent: {problem}")
                await self._clock.sleep(0)  # the cancellation arrives here

    async def _start_load(self, load: Load) -> str:
        """What keeps the load from being sent; "" if it is ready."""
        if self._starter is None:
            return "this process sends no loads"
        try:
            prepared = await self._steps.prepare_load(load.request)
            running = await self._starter.start(self._build_order(load, prepared.request))
        except (StepFailed, OSError) as error:
            return str(error)
        self._sent[load.name] = Sending(load, running, Measurements(load), prepared.connections)
        if self._is_killed:
            running.kill()
        try:
            async with self._clock.timeout(START_SECONDS):
                return "" if await running.read() is not None else "its process has ended"
        except TimeoutError:
            return "its process did not become ready"

    def _build_order(self, load: Load, request: Any) -> dict[str, Any]:
        share = load.rate / sum(planned.rate for planned in self._plan.loads)
        return {
            "request": request,
            "choose": {name: list(values) for name, values in load.choose.items()},
            "rate": load.rate,
            "timeout": load.timeout,
            "seed": f"{self._plan.scenario}/{load.name}",
            "max_requests": round(MAX_REQUESTS * share),
        }

    def list_watchers(self) -> list[Any]:
        """Coroutines that follow the senders until the last phase is over."""
        return [
            *(self._follow(sending) for sending in self._sent.values()),
            *([self._beat()] if self._sent else []),
        ]

    async def _follow(self, sending: Sending) -> None:
        name = sending.load.name
        while (report := await sending.running.read()) is not None:
            sending.measured.apply(report)
            changed, sending.changed = sending.changed, asyncio.Event()
            changed.set()
            if report["is_over"]:
                limit = f"its share of the {MAX_REQUESTS:,} that a run sends"
                self._end(Outcome.ERRORED, f"load {name!r} has sent {limit}")
                return
        self._end(Outcome.ERRORED, f"the process that sends load {name!r} has ended")

    async def _beat(self) -> None:
        """A sender that hears nothing for some seconds ends by itself."""
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            self._send_phase()
            await self._check_networks()

    async def _check_networks(self) -> None:
        """Requests go to where the load was admitted when it began; people may have narrowed that since."""
        sent = dict(self._sent)
        problems = await asyncio.gather(*(self._find_refusal(sending) for sending in sent.values()))
        for name, problem in zip(sent, problems, strict=True):
            if problem:
                self._end(Outcome.ERRORED, f"load {name!r}: {problem}")

    async def _find_refusal(self, sending: Sending) -> str:
        try:
            await self._steps.admit_networks(sending.connections)
        except StepImpossible as error:
            return str(error)
        return ""

    def _send_phase(self) -> None:
        for sending in self._sent.values():
            sending.running.enter_phase(self._phase)

    def enter_phase(self, phase: Phase) -> None:
        if self._sent:
            self._began_at = self._began_at or self._clock.now()
            self._phase = self.find_number(phase)
            self._unrecorded = phase
            self._send_phase()

    def leave_phase(self) -> None:
        """What is due from now on does not count for the phase."""
        self._phase = BETWEEN_PHASES
        self._send_phase()

    def get_measurements(self, name: str) -> Measurements:
        return self._sent[name].measured

    def list_so_far(self) -> list[SoFar]:
        """What the loads have measured so far, in the order of the document; nothing before they begin."""
        phase = self._unrecorded
        return [
            SoFar(
                name,
                self._began_at,
                phase.name if phase else "",
                sending.measured.compute_figures(
                    sending.measured.tally(self.find_number(phase)) if phase else Tally()
                ),
                sending.measured.list_points_so_far(),
            )
            for name, sending in (self._sent.items() if self._began_at else ())
        ]

    async def settle(self, name: str, phase: Phase) -> bool:
        """Wait until it is known what became of the phase's requests; False if that is never known."""
        sending, number = self._sent[name], self.find_number(phase)
        try:
            async with self._clock.timeout(sending.load.timeout + REPORT_SECONDS):
                while not sending.measured.is_settled(number):
                    await sending.changed.wait()
        except TimeoutError:
            return False
        return True

    async def record_phase(self, phase: Phase) -> None:
        """Record the figures of a phase that is over. A sender that was late ends the run."""
        for name in self._sent:
            await self.settle(name, phase)
        self._unrecorded = None
        await self._record_figures(phase)
        number = self.find_number(phase)
        for name, sending in self._sent.items():
            if reason := sending.measured.explain_lateness(number):
                self._end(Outcome.ERRORED, f"load {name!r}, phase {phase.name!r}: {reason}")
                await self._clock.sleep(0)  # the cancellation arrives here

    async def _record_figures(self, phase: Phase) -> None:
        number = self.find_number(phase)
        for name, sending in self._sent.items():
            tally = sending.measured.tally(number)
            figures = sending.measured.compute_figures(tally)
            traces = {"slowest_trace": tally.slowest_trace, "error_traces": tally.error_traces}
            detail = {**figures, "kinds": dict(tally.errors), "unsent": tally.unsent, **traces}
            at = self._clock.now()
            await self._journal.record(Event(EventKind.LOAD_MEASURED, at, phase.name, name, detail))

    async def record_end(self) -> None:
        """Record the whole of each load, and the figures of a phase that was cut off."""
        if self._unrecorded is not None:
            await self._record_figures(self._unrecorded)
            self._unrecorded = None
        for name, sending in self._sent.items():
            sending.measured.finish()
            detail = {
                "rate": sending.load.rate,
                "began_at": self._began_at.isoformat() if self._began_at else None,
                "baseline": sending.baseline,
                "lateness_p99": sending.measured.total.lateness.find_percentile(99),
                "curve": sending.measured.curve.points,
            }
            at = self._clock.now()
            await self._journal.record(Event(EventKind.LOAD_FINISHED, at, subject=name, detail=detail))
        self._sent = {}

    def kill(self) -> None:
        """End all senders at once."""
        self._is_killed = True
        for sending in self._sent.values():
            sending.running.kill()

    async def fix_baseline(self, first_with_actions: Phase) -> None:
        """Keep the figures of the phases before this one."""
        number = self.find_number(first_with_actions)
        before = self._plan.phases[:number]
        for name, sending in self._sent.items() if before else ():
            for phase in before:
                await self.settle(name, phase)
            sending.baseline = sending.measured.compute_figures(sending.measured.join_phases(range(number)))

    def find_baseline_problems(self, first_with_actions: Phase) -> list[str]:
        """Why some limits of this phase and later ones cannot be compared with the baseline."""
        number = self.find_number(first_with_actions)
        return [
            f"validation {validation.name!r} of phase {phase.name!r}: {problem}"
            for phase in self._plan.phases[number:]
            for validation in phase.load_validations
            for problem in self._find_baseline_problems(validation)
        ]

    def _find_baseline_problems(self, validation: LoadValidation) -> Sequence[str]:
        figures = self._sent[validation.load].baseline or {}
        problems = []
        for figure in {limit.figure for limit in validation.limits if limit.threshold.is_multiple}:
            needed, found = MIN_SAMPLES.get(figure, 1), figures.get("requests", 0)
            if found < needed:
                problems.append(
                    f"the baseline of {figure!r} has {found} requests, and at least {needed} are needed"
                )
            elif not figures[figure]:
                value = "nothing" if figures[figure] is None else format_figure(figure, 0.0)
                problems.append(f"the baseline of {figure!r} is {value}: there is no multiple of it")
        return sorted(problems)

    def compute_threshold(self, load: str, limit: Limit) -> float | None:
        """What the figure is compared with; None if there is no baseline to take a multiple of."""
        if not limit.threshold.is_multiple:
            return limit.threshold.value
        value = (self._sent[load].baseline or {}).get(limit.figure)
        return limit.threshold.value * float(value) if value else None
