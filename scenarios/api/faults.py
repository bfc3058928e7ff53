"""The ledger of faults, and what can be done about outstanding ones."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema
from ninja.decorators import decorate_view

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import Int64, RowId, find_fault
from scenarios.api.paging import Filters, Flag, Order, Text, build_page
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import ConflictError, Problem
from scenarios.domain.outcomes import FaultState, RunState
from scenarios.domain.outputs import make_storable
from scenarios.models import Fault, FaultQuerySet
from scenarios.published.records import FaultRecord, record_fault
from scenarios.runs import faults as fault_commands

router = Router(tags=["faults"])
ORDER = Order(("id",), (int,), descending=True)
UNDONE_BY_RUN = "The run of fault {0} has not ended, and still tries the undo; stop it, or wait for its end."
IN_PROGRESS = "The watchdog is trying the undo of fault {0} right now; try again in a moment."


class RunFault(Schema):
    """`outstanding`: the undo has failed, or the run has ended and the fault may still be there.

    The states `unverified` (outstanding) and `watched` (not outstanding) are those of undone faults whose
    injection was never answered: it may still arrive until `late_until`, and the fault is then undone again.
    `status` is the state in words. `address` is where the service was when the fault was injected.
    If `host` is not empty, only a process on that host can undo the fault.
    """

    id: Int64
    run: UUID
    scenario: str
    phase: str
    action: str
    driver: str
    service: str
    host: str
    address: str
    state: FaultState
    status: str
    outstanding: bool
    reason: str
    undo_tries: int
    opened_at: datetime
    injected_at: datetime | None
    closed_at: datetime | None
    next_try_at: datetime | None
    late_until: datetime | None
    acknowledged_by: str
    url: str = Field(description="The fault's page in the admin site.")
    fault_id: str = Field(
        description="The id that its target knows, if it is a fault driver's or has `${fault.id}`."
    )
    target: str = Field(description="Where a fault driver has injected it, in words.")
    lease_seconds: float = Field(
        description="How long it lasts without being renewed; 0 if it does not end by itself."
    )
    expires_at: datetime | None = Field(description="When it ends by itself, unless it is renewed.")
    standing: str = Field(description="The earlier name of `status`.", deprecated=True)


# What `record_fault` reads. A further column costs as much as a row, because most lists are empty or short.
COLUMNS = (
    "run__scenario_name",
    "run__state",
    "phase",
    "action",
    "driver",
    "service",
    "host",
    "address",
    "state",
    "reason",
    "undo_tries",
    "opened_at",
    "injected_at",
    "closed_at",
    "next_try_at",
    "late_until",
    "acknowledged_by",
    "fault_id",
    "target",
    "lease_seconds",
    "renewed_at",
)


class FaultPage(Schema):
    items: list[RunFault]
    next_cursor: str | None


class FaultFilters(Filters):
    state: FaultState | None = None
    outstanding: Flag | None = Field(
        None,
        description="true: faults whose undo has failed, or that an ended run may have left behind; "
        "false: all others.",
    )
    run: UUID | None = None
    service: Text | None = None
    driver: Text | None = None


class AcknowledgementRequest(Body):
    reason: str = Field(min_length=1, max_length=1000, description="How you know that the fault is gone.")


@router.get("/faults", response={200: FaultPage, **REFUSALS}, url_name="faults")
@needs("scenarios.view_fault")
def list_faults(request: HttpRequest, filters: Query[FaultFilters]) -> dict[str, Any]:
    """List all faults, the newest first."""
    rows = Fault.objects.select_related("run").only(*COLUMNS)
    return build_page(filter_faults(rows, filters), ORDER, filters, record_fault)


def filter_faults(rows: FaultQuerySet, filters: FaultFilters) -> QuerySet[Fault]:
    conditions = {
        "state": filters.state,
        "run_id": filters.run,
        "service": filters.service,
        "driver": filters.driver,
    }
    if filters.outstanding is not None:
        rows = rows.outstanding() if filters.outstanding else rows.not_outstanding()
    return rows.filter(**{field: value for field, value in conditions.items() if value is not None})


@router.get("/faults/{number}", response={200: RunFault, **ITEM_REFUSALS}, url_name="fault")
@needs("scenarios.view_fault")
def get_fault(request: HttpRequest, number: Path[RowId]) -> FaultRecord:
    """Show the fault as it is now."""
    return record_fault(find_fault(number))


@router.post(
    "/faults/{number}/retry",
    response={200: RunFault, **ITEM_REFUSALS, 409: Problem},
    url_name="retry_undo",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.stop_run")
@decorate_view(run_once)
def retry_undo(request: HttpRequest, number: Path[RowId]) -> FaultRecord:
    """Try the undo again. The watchdog does it within a second; if `host` is set, the one on that host."""
    fault = find_fault(number)
    if not fault_commands.retry_undo(Fault.objects.filter(pk=fault.pk)):
        raise refuse(fault, "undone again")
    return record_fault(find_fault(number))


@router.post(
    "/faults/{number}/acknowledge",
    response={200: RunFault, **ITEM_REFUSALS, **BODY_REFUSALS, 409: Problem},
    url_name="acknowledge",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.acknowledge_fault")
@decorate_view(run_once)
def acknowledge_fault(request: HttpRequest, body: AcknowledgementRequest, number: Path[RowId]) -> FaultRecord:
    """Close an outstanding fault on your responsibility, with a reason."""
    caller = get_caller(request)
    fault = find_fault(number)
    if not fault_commands.acknowledge_fault(
        fault, by=caller.user.get_username(), reason=make_storable(body.reason)
    ):
        raise refuse(fault, "acknowledged")
    return record_fault(find_fault(number))


def refuse(fault: Fault, what: str) -> ConflictError:
    sentence = f"Fault {fault.pk} is {fault.state}: only an outstanding fault can be {what}."
    if fault.state == FaultState.OUTSTANDING:
        words = IN_PROGRESS if fault.run.state == RunState.FINISHED else UNDONE_BY_RUN
        sentence = words.format(fault.pk)
    return ConflictError(sentence, ProblemCode.FAULT_NOT_OUTSTANDING)
