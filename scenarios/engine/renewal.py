"""Keeps leased faults: each ends by itself at its target when nobody renews it any more."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import FaultGone, LeaseLost, StepFailed
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Fault, Ledger

RENEWALS_PER_LEASE = 3
# After a renewal that was not answered.
TRIES_PER_LEASE = 10
STOPPED = "this process was stopped"


@dataclass
class _Kept:
    fault: Fault
    until: float
    """When it ends by itself, by the clock's `monotonic`, as seen from here: at the target it is later."""
    problem: str = STOPPED
    """Why it has not been renewed last."""


class Renewals:
    """The leased faults of this process. `lost` is called with a fault that is gone and must not be."""

    def __init__(
        self,
        *,
        steps: StepRunner,
        ledger: Ledger,
        clock: Clock,
        lost: Callable[[Fault, str], None],
    ) -> None:
        self._steps = steps
        self._ledger = ledger
        self._clock = clock
        self._lost = lost
        self._kept: dict[int, _Kept] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._has_some = asyncio.Event()
        self._noting: asyncio.Task[None] | None = None

    def keep(self, fault: Fault, injected_at: float) -> None:
        """Renew the fault from now on; `injected_at`, by the clock's `monotonic`: before it was injected."""
        if fault.is_leased:
            self._kept[fault.key] = _Kept(fault, injected_at + fault.lease_seconds)
            self._has_some.set()

    async def release(self, faults: Iterable[Fault]) -> None:
        """Stop renewing these, because they are about to be removed; end the renewals that are under way."""
        ended = [task for fault in faults if (task := self._stop(fault.key)) is not None]
        if ended:
            await asyncio.wait(ended)

    def _stop(self, key: int) -> asyncio.Task[None] | None:
        self._kept.pop(key, None)
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()
        return task

    async def run(self) -> None:
        """Renew each fault in time, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._has_some.wait()
                    # None waits for another: a target that hangs must not cost another's fault its lease.
                    for key in self._kept.keys() - self._tasks.keys():
                        self._tasks[key] = group.create_task(self._renew_again_and_again(key))
                    self._has_some.clear()
        finally:
            if self._noting is not None:
                self._noting.cancel()

    async def _renew_again_and_again(self, key: int) -> None:
        try:
            is_renewed = True
            while (kept := self._kept.get(key)) is not None:
                await self._clock.sleep(self._compute_rest(kept, is_renewed=is_renewed))
                if key in self._kept:
                    is_renewed = await self._renew(kept)
        finally:
            self._tasks.pop(key, None)

    def _compute_rest(self, kept: _Kept, *, is_renewed: bool) -> float:
        """Seconds until the next try; 0 if an injection has taken a good part of the lease."""
        lease = kept.fault.lease_seconds
        if not is_renewed:
            return lease / TRIES_PER_LEASE
        left = kept.until - self._clock.monotonic()
        return max(0.0, min(lease / RENEWALS_PER_LEASE, left - lease / 2))

    async def _renew(self, kept: _Kept) -> bool:
        begun = self._clock.monotonic()
        if begun >= kept.until:
            # What this process would renew may have been removed by another one, and must not come back.
            lease = format_duration(kept.fault.lease_seconds)
            reason = f"it could not be renewed for {lease}, and has ended by itself: {kept.problem}"
            self._lose(kept.fault, reason)
            return False
        try:
            await self._steps.renew(kept.fault.undo, kept.fault.lease_seconds / RENEWALS_PER_LEASE)
        except FaultGone as error:
            self._lose(kept.fault, str(error))
        except StepFailed as error:
            kept.problem = str(error)
        else:
            kept.until = begun + kept.fault.lease_seconds
            kept.problem = STOPPED
            self._note(kept.fault)
            return True
        return False

    def _lose(self, fault: Fault, reason: str) -> None:
        # If it is no longer kept, it is being removed, and should be gone.
        if self._kept.pop(fault.key, None) is not None:
            self._lost(fault, reason)

    def _note(self, fault: Fault) -> None:
        """Record it without waiting: a database that is away must not keep a fault from being renewed."""
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._write_note(fault))

    async def _write_note(self, fault: Fault) -> None:
        with suppress(LeaseLost):  # the next write that matters finds it
            await self._ledger.note_renewed([fault], self._clock.now())
