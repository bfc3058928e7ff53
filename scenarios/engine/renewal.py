"""Keeps leased faults: each ends by itself at its target when nobody renews it any more."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import FaultGone, LeaseLost, StepFailed
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Fault, Ledger

RENEWALS_PER_LEASE = 3
# After a renewal that was not answered.
TRIES_PER_LEASE = 10


@dataclass
class _Kept:
    fault: Fault
    until: float
    """When it ends by itself, by the clock's `monotonic`, as seen from here: at the target it is later."""


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
        self._renewing: set[int] = set()
        self._has_some = asyncio.Event()
        self._noting: asyncio.Task[None] | None = None

    def keep(self, fault: Fault, injected_at: float) -> None:
        """Renew the fault from now on; `injected_at`, by the clock's `monotonic`: before it was injected."""
        if fault.is_leased:
            self._kept[fault.key] = _Kept(fault, injected_at + fault.lease_seconds)
            self._has_some.set()

    def release(self, fault: Fault) -> None:
        """Renew it no more: it is about to be removed."""
        self._kept.pop(fault.key, None)

    async def run(self) -> None:
        """Renew all faults in their time, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._has_some.wait()
                    # None waits for another: a target that hangs must not cost another's fault its lease.
                    for key in self._kept.keys() - self._renewing:
                        self._renewing.add(key)
                        group.create_task(self._renew_again_and_again(key))
                    self._has_some.clear()
        finally:
            if self._noting is not None:
                self._noting.cancel()

    async def _renew_again_and_again(self, key: int) -> None:
        try:
            is_renewed = True
            while (kept := self._kept.get(key)) is not None:
                per_lease = RENEWALS_PER_LEASE if is_renewed else TRIES_PER_LEASE
                await self._clock.sleep(kept.fault.lease_seconds / per_lease)
                if key in self._kept:
                    is_renewed = await self._renew(kept)
        finally:
            self._renewing.discard(key)

    async def _renew(self, kept: _Kept) -> bool:
        begun = self._clock.monotonic()
        try:
            await self._steps.renew(kept.fault.undo, kept.fault.lease_seconds / RENEWALS_PER_LEASE)
        except FaultGone as error:
            self._lose(kept.fault, str(error))
        except StepFailed as error:
            if self._clock.monotonic() >= kept.until:
                lease = format_duration(kept.fault.lease_seconds)
                reason = f"it could not be renewed for {lease}, and has ended by itself: {error}"
                self._lose(kept.fault, reason)
        else:
            kept.until = begun + kept.fault.lease_seconds
            self._note(kept.fault)
            return True
        return False

    def _lose(self, fault: Fault, reason: str) -> None:
        # Where it is not kept any more, it is being removed: that it is gone is as it should be.
        if self._kept.pop(fault.key, None) is not None:
            self._lost(fault, reason)

    def _note(self, fault: Fault) -> None:
        """Write it down without waiting: a database that is away must not keep a fault from being renewed."""
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._write_note(fault))

    async def _write_note(self, fault: Fault) -> None:
        with suppress(LeaseLost):  # the next write that matters finds it
            await self._ledger.note_renewed([fault], self._clock.now())
