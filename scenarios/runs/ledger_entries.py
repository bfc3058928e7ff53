"""What the ledger of faults holds: rows as facts for the engine, and the queries that find them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import FaultState, Rollback
from scenarios.domain.plan import FaultCall, FaultOperation, Proof, Step, find_service
from scenarios.models import Environment, Fault, Run, Service
from scenarios.ports import Event
from scenarios.ports import Fault as FaultFacts
from scenarios.runs.leases import Claim


def dump_step(step: Step) -> dict[str, Any]:
    kept = {"driver": step.driver, "arguments": dict(step.arguments), "sensitive": step.sensitive}
    if step.operation is not None and step.fault is not None:
        call = {"id": step.fault.id, "lease": step.fault.lease, "target": dict(step.fault.target)}
        kept |= {"operation": step.operation.value, "fault": call}
    return kept


def _load_step(kept: Mapping[str, Any]) -> Step:
    step = Step(kept["driver"], kept["arguments"], kept.get("sensitive", False))
    if "fault" not in kept:
        return step
    return replace(step, operation=FaultOperation(kept["operation"]), fault=FaultCall(**kept["fault"]))


def dump_proof(proof: Proof | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    expect = dict(proof.expect.fields)
    return {"probe": dump_step(proof.probe), "expect": expect, "timeout": proof.timeout}


def _load_proof(kept: Mapping[str, Any] | None) -> Proof | None:
    if kept is None:
        return None
    return Proof(_load_step(kept["probe"]), Expectations(kept["expect"]), kept["timeout"])


def build_fault(row: Fault, addresses: Mapping[str, str]) -> FaultFacts:
    """`addresses`: where the run's services were, for a fault that does not know its own."""
    undo = _load_step(row.undo)
    return FaultFacts(
        key=row.pk,
        order=row.order,
        phase=row.phase,
        action=row.action,
        driver=row.driver,
        undo=undo,
        timeout=row.timeout,
        host=row.host,
        proof=_load_proof(row.proof),
        address=row.address or addresses.get(find_service(undo), ""),
        late_seconds=row.late_seconds,
        is_answered=row.state != FaultState.INJECTING,
        lease_seconds=row.lease_seconds,
    )


def list_faults_to_undo(claim: Claim) -> list[FaultFacts]:
    """The run's faults that have not been undone, the newest first."""
    return _build_faults(claim, Fault.objects.to_undo().filter(run=claim.run_id))


def list_awaited_faults(claim: Claim, *, due: datetime | None = None) -> list[FaultFacts]:
    """Those that were undone and may still arrive; only those due at the moment `due`, if there is one."""
    rows = Fault.objects.awaited().filter(run=claim.run_id)
    return _build_faults(claim, rows.due(due) if due else rows)


def list_faults_due_again(claim: Claim, at: datetime) -> list[FaultFacts] | None:
    """Of a run that goes on: those awaited whose next undo is due. None if none is awaited."""
    awaited = Fault.objects.awaited().filter(run=claim.run_id)
    due = [row for row in awaited if row.next_try_at is None or row.next_try_at <= at]
    if not due and not awaited:
        return None
    return _build_faults(claim, due)


def list_open_faults(claim: Claim) -> list[FaultFacts]:
    return list_faults_to_undo(claim) + list_awaited_faults(claim)


def _build_faults(claim: Claim, rows: Any) -> list[FaultFacts]:
    found = list(rows)
    addresses = Run.objects.values_list("addresses", flat=True).get(id=claim.run_id) if found else {}
    return [build_fault(row, addresses) for row in found]


def find_new_address(fault: FaultFacts, environment: str = "") -> str:
    """Where the undo's service is in the environment, if it has moved; "" if it has not, or is unknown."""
    service = find_service(fault.undo)
    if not service or not fault.address:
        return ""
    address = _find_address(service, environment)
    return "" if address.rstrip("/") == fault.address.rstrip("/") else address


def _find_address(service: str, environment: str) -> str:
    """Where the service is now; "" if it is not registered."""
    if environment:
        named = Environment.objects.filter(name=environment).values_list("services", flat=True).first() or {}
        return str(named.get(service, {}).get("base_url", ""))
    return Service.objects.filter(name=service).values_list("base_url", flat=True).first() or ""


def find_opened(claim: Claim, event: Event) -> FaultFacts:
    """The fault that was opened with this event."""
    rows = Fault.objects.filter(run=claim.run_id, opened_at=event.at, action=event.subject)
    (fault,) = _build_faults(claim, rows.order_by("-order")[:1])
    return fault


def find_state(fault: FaultFacts) -> FaultState:
    return FaultState(Fault.objects.values_list("state", flat=True).get(id=fault.key))


def read_rollback(run_id: UUID) -> Rollback:
    return Fault.objects.filter(run=run_id).rollback()


def has_expired(fault: FaultFacts, at: datetime) -> bool:
    """Whether a leased fault's time was over at this moment, so that it has ended by itself."""
    row = Fault.objects.get(id=fault.key)
    return row.expires_at is not None and row.injected_at is not None and row.expires_at <= at
