"""The ledger of faults: each change of a fault and the event that reports it are one transaction.

A fault whose injection was never answered may arrive after its undo. It stays open for a while then
(`late_seconds`, from its first undo on), and closes with the undo that succeeds when that time is over.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from scenarios.database.durability import on_disk
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import STATES_AWAITED, FaultState, RunState
from scenarios.domain.plan import Proof, Step, find_service
from scenarios.drivers import hosts
from scenarios.models import MAX_RETRY_DELAY, MIN_RETRY_DELAY, Fault, Run
from scenarios.ports import Event, UndoResult
from scenarios.ports import Fault as FaultFacts
from scenarios.runs import admission, ledger_entries
from scenarios.runs.events import announce_change, store_or_reduce, write_event
from scenarios.runs.leases import Claim, fenced
from scenarios.runs.registry import MAX_NAME_LENGTH

# To the next undo of a fault that may still arrive: as long again as it has been awaited, and this.
MIN_AWAITED = timedelta(seconds=2)
MAX_TARGET_LENGTH = 500
# A delay is this part of the time since somebody asked for a try.
RETRIES_PER_WAIT = 4
AWAITED_KINDS = {
    FaultState.WATCHED: EventKind.FAULT_WATCHED,
    FaultState.UNVERIFIED: EventKind.FAULT_UNVERIFIED,
}


def open_fault(
    claim: Claim,
    event: Event,
    *,
    do: Step,
    undo: Step,
    timeout: float,
    proof: Proof | None = None,
    address: str = "",
    late_seconds: float = 0.0,
    lease_seconds: float = 0.0,
    touched: frozenset[str] = frozenset(),
    fault_id: str = "",
    environment: str = "",
) -> FaultFacts:
    """Write the fault as `injecting`; committed when this returns. `touched`: what a secret hides, too."""
    here = hosts.this_host()
    # A fault that only this host can inject, but any host can undo and probe, is bound to no host.
    undo_steps = [undo] if proof is None else [undo, proof.probe]
    named = admission.find_touched(
        [do, undo], hosts.format_target(here), lookups=False, environment=environment
    )
    with on_disk(), fenced(claim) as run:
        write_event(run, event)
        row = Fault.objects.create(
            run=run,
            order=Fault.objects.filter(run=run).count() + 1,
            phase=event.phase,
            action=event.subject,
            driver=do.driver,
            service=find_service(do)[:MAX_NAME_LENGTH],
            services=sorted({*touched, *named}),
            host=_find_host(undo_steps, here),
            undo=ledger_entries.dump_step(undo),
            proof=ledger_entries.dump_proof(proof),
            address=address,
            late_seconds=late_seconds,
            fault_id=undo.fault.id if undo.fault is not None else fault_id,
            target=_find_label(undo),
            lease_seconds=lease_seconds,
            timeout=timeout,
            opened_at=event.at,
        )
    return ledger_entries.build_fault(row, run.addresses)


def _find_host(undo_steps: Sequence[Step], here: str) -> str:
    """The one host whose processes can undo the fault; "" if all can."""
    for step in undo_steps:
        if step.fault is not None and (host := step.fault.target.get("host")):
            return str(host)
    return here if hosts.are_host_bound(undo_steps) else ""


def _find_label(undo: Step) -> str:
    label = undo.fault.target.get("label", "") if undo.fault is not None else ""
    return str(label)[:MAX_TARGET_LENGTH]


def mark_active(claim: Claim, fault: FaultFacts, event: Event) -> None:
    renewed_at = event.at if fault.is_leased else None
    _update_fault(claim, fault, event, state=FaultState.ACTIVE, injected_at=event.at, renewed_at=renewed_at)


def complete_fault(claim: Claim, fault: FaultFacts) -> None:
    """Write the undo and the proof again, with what the injection's answer gave."""
    with on_disk(), fenced(claim, events=0) as run:
        row = Fault.objects.filter(id=fault.key, run=run)
        row.update(undo=ledger_entries.dump_step(fault.undo), proof=ledger_entries.dump_proof(fault.proof))


def note_renewed(claim: Claim, faults: Sequence[FaultFacts], at: datetime) -> None:
    with fenced(claim, events=0) as run:
        Fault.objects.filter(run=run, id__in=[fault.key for fault in faults]).update(renewed_at=at)


def mark_not_injected(claim: Claim, fault: FaultFacts, event: Event) -> None:
    reason = event.detail["reason"]
    _update_fault(claim, fault, event, state=FaultState.NOT_INJECTED, reason=reason, closed_at=event.at)


def mark_acknowledged(claim: Claim, fault: FaultFacts, event: Event) -> None:
    detail = event.detail
    _update_fault(
        claim,
        fault,
        event,
        state=FaultState.ACKNOWLEDGED,
        reason=detail["reason"],
        acknowledged_by=detail["by"],
        closed_at=event.at,
        next_try_at=None,
    )


def mark_undone(
    claim: Claim, fault: FaultFacts, event: Event, result: UndoResult | None = None
) -> FaultState:
    """Close the fault, or await its injection if that may still arrive. Returns its new state."""
    row = Fault.objects.get(id=fault.key)
    until = _compute_late_until(row, fault, event.at)
    # What arrived after the undo had begun may have escaped it.
    began_at = event.at if result is None else result.began_at or event.at
    if until is None or began_at >= until:
        changes = {"reason": "", "closed_at": event.at, "next_try_at": None}
        _update_fault(claim, fault, event, state=FaultState.UNDONE, **changes)
        return FaultState.UNDONE
    is_seen = result is not None and result.is_seen_gone
    state = FaultState.WATCHED if is_seen else FaultState.UNVERIFIED
    awaited = replace(event, kind=AWAITED_KINDS[state], detail={**event.detail, "until": until.isoformat()})
    next_at = _compute_next_try(row, until, event.at)
    _update_fault(claim, fault, awaited, state=state, reason="", late_until=until, next_try_at=next_at)
    return state


def mark_undo_failed(claim: Claim, fault: FaultFacts, event: Event) -> None:
    """Keep the fault as outstanding; the watchdog's next try comes later with each failure.

    One that was undone already, and is only undone again to be sure, stays as it is until its time is over.
    """
    row = Fault.objects.get(id=fault.key)
    until = _compute_late_until(row, fault, event.at)
    reason = event.detail["reason"]
    if row.state in STATES_AWAITED and until is not None and event.at < until:
        next_at = _compute_next_try(row, until, event.at)
        _update_fault(claim, fault, event, reason=reason, late_until=until, next_try_at=next_at)
        return
    tries = row.undo_tries + 1
    changes = {"undo_tries": tries, "next_try_at": event.at + _compute_delay(row, tries, event.at)}
    changes |= {"late_until": until}
    _update_fault(claim, fault, event, state=FaultState.OUTSTANDING, reason=reason, **changes)


def _compute_delay(row: Fault, tries: int, at: datetime) -> timedelta:
    """Until the next try: twice as long after each failure.

    Somebody who has asked for a try may be at work on the target: the tries then follow the time since they
    asked, so that the fault goes soon after the target works again, however often the undo failed before.
    """
    delay = min(MAX_RETRY_DELAY, MIN_RETRY_DELAY * 2 ** min(tries - 1, 10))
    if row.retry_requested_at is not None:
        waited = (at - row.retry_requested_at).total_seconds()
        delay = min(delay, max(MIN_RETRY_DELAY, waited / RETRIES_PER_WAIT))
    return timedelta(seconds=delay)


def mark_waiting_for_host(claim: Claim, fault: FaultFacts, event: Event) -> None:
    """Leave the fault to the processes of its host, which try it at once; written once, not each time."""
    row = Fault.objects.get(id=fault.key)
    reason = event.detail["reason"]
    if (row.state, row.reason) != (FaultState.OUTSTANDING, reason):
        changes = {"next_try_at": event.at, "late_until": _compute_late_until(row, fault, event.at)}
        _update_fault(claim, fault, event, state=FaultState.OUTSTANDING, reason=reason, **changes)


def _compute_late_until(row: Fault, fault: FaultFacts, at: datetime) -> datetime | None:
    """Until when its injection may still arrive; None where it was answered, or can never come late."""
    late = timedelta(seconds=row.late_seconds)
    if row.late_until is not None:
        return min(row.late_until, at + late)  # the clock may have been set back
    is_unanswered = row.state == FaultState.INJECTING and not fault.is_answered
    return at + late if is_unanswered and late else None


def _compute_next_try(row: Fault, until: datetime, at: datetime) -> datetime:
    began = until - timedelta(seconds=row.late_seconds)
    return min(until, at + max(at - began, timedelta(0)) + MIN_AWAITED)


def _update_fault(claim: Claim, fault: FaultFacts, event: Event, **changes: Any) -> None:
    with fenced(claim) as run:
        write_event(run, event)
        row = Fault.objects.filter(id=fault.key, run=run)
        before = FaultState(row.values_list("state", flat=True).get())
        texts = {name: changes.pop(name) for name in ("reason", "acknowledged_by") if name in changes}
        store_or_reduce(partial(row.update, **changes), **texts)
        if run.state == RunState.FINISHED:
            run.rollback = ledger_entries.read_rollback(run.id)
            Run.objects.filter(id=run.id).update(rollback=run.rollback)
            admission.release_holds(run)
        announce_change(fault.key, run, before=before, at=event.at)
