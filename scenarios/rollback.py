"""Takes faults back: for the worker at a phase's or run's end, for the watchdog, for a person."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeVar

from scenarios.domain.errors import StepFailed
from scenarios.ports import Clock, Fault, Ledger
from scenarios.steps import StepRunner

T = TypeVar("T")

# Seconds between the rounds of undo, 60 in all; what is left then is outstanding, and the watchdog's.
UNDO_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 28.5)


async def take_back(
    faults: Sequence[Fault],
    *,
    ledger: Ledger,
    steps: StepRunner,
    clock: Clock,
    delays: Iterable[float] = UNDO_DELAYS,
) -> list[Fault]:
    """Undo the faults, in the order given; return those whose undo still fails.

    A round tries each one, so that a failing undo never keeps the next from being tried. A round is
    shielded: once begun, it is not torn apart by a stop. Between rounds a cancellation gets through.

    Raises:
        LeaseLost: another process has taken the run over.
    """
    remaining = await finish(asyncio.create_task(_round(faults, ledger, steps)))
    for delay in delays:
        if not remaining:
            break
        await clock.sleep(delay)
        remaining = await finish(asyncio.create_task(_round(remaining, ledger, steps)))
    return remaining


async def _round(faults: Sequence[Fault], ledger: Ledger, steps: StepRunner) -> list[Fault]:
    return [fault for fault in faults if not await _undo(fault, ledger, steps)]


async def _undo(fault: Fault, ledger: Ledger, steps: StepRunner) -> bool:
    try:
        await steps.undo(fault.undo, fault.timeout)
    except StepFailed as error:
        await ledger.mark_undo_failed(fault, str(error))
        return False
    await ledger.mark_undone(fault)
    return True


async def take_back_once(faults: Sequence[Fault], steps: StepRunner) -> None:
    """Undo the faults, in the order given, once each, and leave them in the ledger: they are undone again."""
    await finish(asyncio.create_task(_try_each(faults, steps)))


async def _try_each(faults: Sequence[Fault], steps: StepRunner) -> list[Fault]:
    return [fault for fault in faults if not await _is_undone(fault, steps)]


async def take_back_without_ledger(faults: Sequence[Fault], *, steps: StepRunner, clock: Clock) -> None:
    """Undo the faults, in the order given, each until it succeeds or the tries are used up."""
    for delay in (0.0, *UNDO_DELAYS):
        if not faults:
            return
        await clock.sleep(delay)
        faults = await _try_each(faults, steps)


async def _is_undone(fault: Fault, steps: StepRunner) -> bool:
    try:
        await steps.undo(fault.undo, fault.timeout)
    except StepFailed:
        return False
    return True


async def finish(task: "asyncio.Task[T]") -> T:
    """Wait for the task's end even when cancelled meanwhile, and only then pass the cancellation on."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # looked at, so that asyncio does not complain; the cancellation goes first
        raise cancelled
    return task.result()
