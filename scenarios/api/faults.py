"""The ledger of faults, and what can be done about the outstanding ones."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema
from ninja.decorators import decorate_view

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import RowId, find_fault
from scenarios.api.paging import Filters, Order, Text, build_page
from scenarios.api.problems import ConflictError, Problem
from scenarios.domain.outcomes import FaultState
from scenarios.domain.outputs import make_storable
from scenarios.models import Fault, FaultQuerySet
from scenarios.records import FaultRecord, record_fault
from scenarios.runs import faults as fault_commands

router = Router(tags=["faults"])
ORDER = Order(("id",), (int,), descending=True)
NOT_OUTSTANDING = "Fault {0} is {1}: only an outstanding fault can be {2}."


class RunFault(Schema):
    """`outstanding`: its undo has failed, or its run has ended and nobody can say that it is gone.

    `unverified` (outstanding) and `watched` (not outstanding) are undone faults whose injection was never
    answered: it may still arrive until `late_until`, and they are undone again then. `standing` is the
    state in words. `address` is where the undo's service was when the fault was injected.

    `host` is not empty where only a process of that host can undo it.
    """

    id: int
    run: UUID
    scenario: str
    phase: str
    action: str
    driver: str
    service: str
    host: str
    address: str
    state: FaultState
    standing: str
    outstanding: bool
    reason: str
    undo_tries: int
    opened_at: datetime
    injected_at: datetime | None
    closed_at: datetime | None
    next_try_at: datetime | None
    late_until: datetime | None
    acknowledged_by: str
    url: str = Field(description="Its page, for a person.")


# What `record_fault` reads. Each column more costs as much as a row, because most lists are empty or short.
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
)


class FaultPage(Schema):
    items: list[RunFault]
    next_cursor: str | None


class FaultFilters(Filters):
    state: FaultState | None = None
    outstanding: Literal["true"] | None = Field(
        None,
        description="Only those whose undo has failed, or that an ended run left and nobody saw gone.",
    )
    run: UUID | None = None
    service: Text | None = None
    driver: Text | None = None


class AcknowledgementRequest(Body):
    reason: str = Field(min_length=1, max_length=1000, description="How do you know that it is gone?")


@router.get("/faults", response={200: FaultPage, **REFUSALS}, url_name="faults")
@needs("scenarios.view_fault")
def list_faults(request: HttpRequest, filters: Query[FaultFilters]) -> dict[str, Any]:
    """Every fault ever injected, the newest first."""
    rows = Fault.objects.select_related("run").only(*COLUMNS)
    return build_page(filter_faults(rows, filters), ORDER, filters, record_fault)


def filter_faults(rows: FaultQuerySet, filters: FaultFilters) -> QuerySet[Fault]:
    conditions = {
        "state": filters.state,
        "run_id": filters.run,
        "service": filters.service,
        "driver": filters.driver,
    }
    if filters.outstanding:
        rows = rows.outstanding()
    return rows.filter(**{field: value for field, value in conditions.items() if value is not None})


@router.get("/faults/{fault_id}", response={200: RunFault, **ITEM_REFUSALS}, url_name="fault")
@needs("scenarios.view_fault")
def get_fault(request: HttpRequest, fault_id: Path[RowId]) -> FaultRecord:
    return record_fault(find_fault(fault_id))


@router.post(
    "/faults/{fault_id}/retry",
    response={200: RunFault, **ITEM_REFUSALS, 409: Problem},
    url_name="retry_undo",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.stop_run")
@decorate_view(run_once)
def retry_undo(request: HttpRequest, fault_id: Path[RowId]) -> FaultRecord:
    """Have the watchdog, where the fault has a `host` the one there, try the undo again within a second."""
    fault = find_fault(fault_id)
    if not fault_commands.retry_undo(Fault.objects.filter(pk=fault.pk)):
        raise ConflictError(NOT_OUTSTANDING.format(fault.pk, fault.state, "tried again"))
    return record_fault(find_fault(fault_id))


@router.post(
    "/faults/{fault_id}/acknowledge",
    response={200: RunFault, **ITEM_REFUSALS, **BODY_REFUSALS, 409: Problem},
    url_name="acknowledge",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.acknowledge_fault")
@decorate_view(run_once)
def acknowledge_fault(
    request: HttpRequest, body: AcknowledgementRequest, fault_id: Path[RowId]
) -> FaultRecord:
    """Take an outstanding fault out of the ledger by your word."""
    caller = get_caller(request)
    fault = find_fault(fault_id)
    if not fault_commands.acknowledge_fault(
        fault, by=caller.user.get_username(), reason=make_storable(body.reason)
    ):
        raise ConflictError(
            NOT_OUTSTANDING.format(fault.pk, fault.state, "acknowledged")
            + " Or its undo is being tried this moment: look again."
        )
    return record_fault(find_fault(fault_id))
