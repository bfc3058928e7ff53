"""Approvals: what waits for a second person, what it would do, and what was decided."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, When
from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema
from ninja.decorators import decorate_view
from pydantic import JsonValue

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import Int64, RowId, find_approval
from scenarios.api.paging import Filters, Order, Text, build_page
from scenarios.api.problems import Problem, ProblemAt, RefusedError
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import ApprovalState
from scenarios.domain.outputs import make_storable
from scenarios.library.dry_run import list_steps
from scenarios.models import Approval
from scenarios.planning import approvals
from scenarios.published.records import page_url

router = Router(tags=["approvals"])
MAX_REASON_LENGTH = 1000


def parse_rank(word: str) -> int:
    if word not in {"0", "1"}:
        raise ValueError("expected 0 or 1")
    return int(word)


ORDER = Order(("is_pending", "id"), (parse_rank, int), descending=True)


class ApprovalInList(Schema):
    """Belongs to a run or to a schedule; the other field is null."""

    id: Int64
    state: ApprovalState
    run: UUID | None = Field(alias="run_id")
    schedule: str | None
    scenario: str
    environment: str = Field(description="The environment of the run or schedule; empty if none.")
    services: list[str] = Field(description="The protected services that would be touched.")
    asked_by: str = Field(alias="asked_by_name")
    asked_at: datetime
    expires_at: datetime | None
    decided_by: str = Field(alias="decided_by_name", description="Empty until somebody has decided.")
    decided_at: datetime | None
    reason: str
    url: str = Field(description="The approval's page in the admin site.")

    @staticmethod
    def resolve_schedule(row: Approval) -> str | None:
        return row.schedule.name if row.schedule else None

    @staticmethod
    def resolve_scenario(row: Approval) -> str:
        of = row.run or row.schedule
        return of.scenario_name if of else ""

    @staticmethod
    def resolve_environment(row: Approval) -> str:
        of = row.run or row.schedule
        return of.environment if of else ""

    @staticmethod
    def resolve_url(row: Approval) -> str:
        return page_url(row)


class PlannedStep(Schema):
    """One step of the plan. `arguments` is YAML; secrets remain references."""

    phase: str
    name: str
    role: str = Field(description="load, guard, fault, do, undo, undone or probe.")
    driver: str
    arguments: str
    note: str = Field(description="What ends the fault if every process of the coordinator is dead.")


class ApprovalDetails(ApprovalInList):
    """An approval, with the steps that the run, or the present schedule, would carry out."""

    variables: dict[str, JsonValue]
    steps: list[PlannedStep]
    problem: str = Field(description="Why it cannot run as it is now; empty if it can.")

    @classmethod
    def of(cls, row: Approval, request: HttpRequest) -> "ApprovalDetails":
        described: Any = row
        described.variables, described.steps, described.problem = approvals.find_variables(row), [], ""
        try:
            plan = approvals.find_plan(row)
        except (InvalidDocument, InvalidVariables) as error:
            described.problem = f"This cannot run as it is now: {error}"
        else:
            described.steps = list(list_steps(plan)) if plan else []
            described.problem = "" if plan else "The scenario has been deleted."
        return cls.model_validate(described, context={"request": request})


class ApprovalPage(Schema):
    items: list[ApprovalInList]
    next_cursor: str | None


class ApprovalFilters(Filters):
    """`schedule` and `asked_by` match whole names."""

    state: ApprovalState | None = None
    run: UUID | None = None
    schedule: Text | None = None
    asked_by: Text | None = None


class ApprovalRequest(Body):
    reason: str = Field("", max_length=MAX_REASON_LENGTH)


class RefusalRequest(Body):
    reason: str = Field(
        min_length=1,
        max_length=MAX_REASON_LENGTH,
        description="Tells the requester what to change.",
    )


@router.get("/approvals", response={200: ApprovalPage, **REFUSALS}, url_name="approvals")
@needs("scenarios.view_approval")
def list_approvals(request: HttpRequest, filters: Query[ApprovalFilters]) -> dict[str, Any]:
    """List approvals: pending ones first, then the newest."""
    pending = Case(When(state=ApprovalState.PENDING, then=1), default=0, output_field=IntegerField())
    rows = Approval.objects.for_a_list().annotate(is_pending=pending)
    return build_page(filter_approvals(rows, filters), ORDER, filters)


def filter_approvals(rows: QuerySet[Approval], filters: ApprovalFilters) -> QuerySet[Approval]:
    conditions = {
        "state": filters.state,
        "run_id": filters.run,
        "schedule__name": filters.schedule,
        "asked_by_name": filters.asked_by,
    }
    return rows.filter(**{field: value for field, value in conditions.items() if value is not None})


@router.get("/approvals/{approval_id}", response={200: ApprovalDetails, **ITEM_REFUSALS}, url_name="approval")
@needs("scenarios.view_approval")
def get_approval(request: HttpRequest, approval_id: Path[RowId]) -> ApprovalDetails:
    """Show an approval and every step that it would permit."""
    return ApprovalDetails.of(find_approval(approval_id), request)


@router.post(
    "/approvals/{approval_id}/approve",
    response={200: ApprovalDetails, **ITEM_REFUSALS, **BODY_REFUSALS, 409: Problem},
    url_name="approve",
    openapi_extra=IDEMPOTENT,
)
@needs(approvals.PERMISSION)
@decorate_view(run_once)
def approve(request: HttpRequest, body: ApprovalRequest, approval_id: Path[RowId]) -> ApprovalDetails:
    """Approve the run, or the schedule as it is now. The requester cannot approve (403)."""
    caller = get_caller(request)
    approvals.approve(find_approval(approval_id), by=caller.user, reason=make_storable(body.reason).strip())
    return ApprovalDetails.of(find_approval(approval_id), request)


@router.post(
    "/approvals/{approval_id}/refuse",
    response={200: ApprovalDetails, **ITEM_REFUSALS, **BODY_REFUSALS, 409: Problem},
    url_name="refuse",
    openapi_extra=IDEMPOTENT,
)
@needs(approvals.PERMISSION)
@decorate_view(run_once)
def refuse(request: HttpRequest, body: RefusalRequest, approval_id: Path[RowId]) -> ApprovalDetails:
    """Refuse. A run ends as `aborted`; a schedule starts nothing until it is changed and approved."""
    caller = get_caller(request)
    reason = make_storable(body.reason).strip()
    if not reason:
        place = ProblemAt(path="body.reason", message="must not be empty")
        raise RefusedError("A refusal needs a reason: say what should be changed.", [place])
    approvals.refuse(find_approval(approval_id), by=caller.user, reason=reason)
    return ApprovalDetails.of(find_approval(approval_id), request)
