"""Undoes faults: for the worker at the end of a phase or run, for the watchdog, and on request."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.plan import Proof, find_service, origin
from scenarios.domain.trace_context import in_fault
from scenarios.engine.observations import observe
from scenarios.engine.steps import StepRunner
from scenarios.ports import Clock, Fault, UndoResult

T = TypeVar("T")

# Seconds between the rounds of undo, 60 in all. The watchdog undoes what is outstanding after that.
UNDO_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 28.5)
# Between two looks for whether a fault is gone, and what one look gets at least.
CHECK_SECONDS = 0.5
MIN_CHECK_SECONDS = 1.0


class UndoLedger(Protocol):
    """What `undo_all` needs of a ledger; `scenarios.ports.Ledger` documents the methods."""

    async def find_new_address(self, fault: Fault) -> str: ...

    async def mark_undone(self, fault: Fault, result: UndoResult) -> None: ...

    async def mark_undo_failed(self, fault: Fault, result: UndoResult) -> None: ...


class NullLedger:
    """Writes nothing: for a process that has no right, or no way, to write to the run's ledger."""

    async def find_new_address(self, fault: Fault) -> str:
        del fault
        return ""

    async def mark_undone(self, fault: Fault, result: UndoResult) -> None: ...

    async def mark_undo_failed(self, fault: Fault, result: UndoResult) -> None: ...


async def undo_all(
    faults: Sequence[Fault],
    *,
    ledger: UndoLedger,
    steps: StepRunner,
    clock: Clock,
    delays: Iterable[float] = UNDO_DELAYS,
) -> list[Fault]:
    """Undo the faults in this order; return those whose undo still fails after a round for each delay.

    A round tries each fault, so that a failing undo never keeps the next from being tried. A round is
    shielded, so that a stop does not interrupt it. A cancellation takes effect between rounds.

    Raises:
        LeaseLost: another process has taken the run over.
    """
    if not faults:
        return []
    remaining = await finish(asyncio.create_task(_undo_once(faults, ledger, steps)))
    for delay in delays:
        if not remaining:
            break
        await clock.sleep(delay)
        remaining = await finish(asyncio.create_task(_undo_once(remaining, ledger, steps)))
    return remaining


async def _undo_once(faults: Sequence[Fault], ledger: UndoLedger, steps: StepRunner) -> list[Fault]:
    return [fault for fault in faults if not await _undo_and_record(fault, ledger, steps)]


async def _undo_and_record(fault: Fault, ledger: UndoLedger, steps: StepRunner) -> bool:
    new_address = await ledger.find_new_address(fault)
    began_at = steps.clock.now()
    with in_fault(fault.order):
        result = replace(await undo(fault, steps, new_address=new_address), began_at=began_at)
    if result.reason:
        await ledger.mark_undo_failed(fault, result)
        return False
    await ledger.mark_undone(fault, result)
    return True


async def undo(fault: Fault, steps: StepRunner, *, new_address: str = "") -> UndoResult:
    """Undo the fault where it was injected, and where its service has moved to.

    Only the first decides: a new host that has nothing to undo says nothing about the old one.
    """
    service = find_service(fault.undo)
    there = steps.at({service: fault.address}) if fault.address else steps
    # A fault driver's own target says where the fault is.
    if not new_address or fault.undo.operation is not None:
        result = await _undo_and_check(fault, there)
        return replace(result, places=_describe_place(fault.address, result.reason))
    result, elsewhere = await asyncio.gather(
        _undo_and_check(fault, there), _send_undo(fault, steps.at({service: new_address}))
    )
    places = _describe_place(fault.address, result.reason) | _describe_place(new_address, elsewhere.reason)
    reason = result.reason
    if reason:
        reason += (
            f"; it was injected at {origin(fault.address)}, and {service!r} is registered at "
            f"{origin(new_address)} by now, where {elsewhere.reason or 'it is undone'}"
        )
    return replace(result, reason=reason, places=places)


def _describe_place(address: str, reason: str) -> dict[str, str]:
    return {origin(address): reason or "undone"} if address else {}


async def _send_undo(fault: Fault, steps: StepRunner) -> UndoResult:
    try:
        was_gone = await steps.undo(fault.undo, fault.timeout)
        return UndoResult(is_seen_gone=was_gone, was_gone=was_gone)
    except StepFailed as error:
        return UndoResult(str(error))


async def _undo_and_check(fault: Fault, steps: StepRunner) -> UndoResult:
    started = steps.clock.monotonic()
    sent = await _send_undo(fault, steps)
    if fault.proof is None:
        return sent
    deadline = started + fault.timeout
    while True:
        seen = await _check_gone(fault.proof, steps, deadline)
        # An undo that failed is not waited for: it is tried again.
        is_over = bool(sent.reason) or steps.clock.monotonic() + CHECK_SECONDS >= deadline
        if not seen:
            return UndoResult(is_seen_gone=True, was_gone=sent.was_gone)
        if is_over:
            # A target that is away tells the undo and the check the same.
            reasons = [sent.reason] if sent.reason and sent.reason in seen else [sent.reason, seen]
            return UndoResult("; ".join(filter(None, reasons)))
        await steps.clock.sleep(CHECK_SECONDS)


async def _check_gone(proof: Proof, steps: StepRunner, deadline: float) -> str:
    """Why the fault is not known to be gone; "" if it is gone."""
    left = max(MIN_CHECK_SECONDS, deadline - steps.clock.monotonic())
    try:
        expect = steps.saved.fill_expectations(proof.expect)
        seen = await observe(steps.for_undo(), proof.probe, expect, min(left, proof.timeout))
    except StepImpossible as error:
        return f"whether it is undone cannot be seen: {error}"
    return "" if seen.holds else f"it is not undone: {seen.reason}"


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
