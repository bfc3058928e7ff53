"""What waits for a second person, what it would break, and what was decided."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, When
from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema
from ninja.decorators import decorate_view
from pydantic import JsonValue

from scenarios.api.access import caller_of, needs
from scenarios.api.bodies import Body
from scenarios.api.description import OF_A_BODY, OF_ONE, REFUSALS, WRITES_ONCE
from scenarios.api.idempotency import carried_out_once
from scenarios.api.names import RowId, approval_of
from scenarios.api.paging import Filters, Order, Words, page_of
from scenarios.api.problems import Problem, ProblemAt, RefusedError
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import ApprovalState
from scenarios.domain.outputs import make_storable
from scenarios.library.dry_run import steps_of
from scenarios.models import Approval
from scenarios.planning import approvals
from scenarios.records import page_url

router = Router(tags=["approvals"])
MAX_REASON_LENGTH = 1000


def rank_in_cursor(word: str) -> int:
    if word not in {"0", "1"}:
        raise ValueError("it is pending or it is not")
    return int(word)


ORDER = Order(("is_pending", "id"), (rank_in_cursor, int), descending=True)


class ApprovalInList(Schema):
    """Of a run, or of a schedule; the other is null."""

    id: int
    state: ApprovalState
    run: UUID | None = Field(alias="run_id")
    schedule: str | None
    scenario: str
    services: list[str] = Field(description="The protected ones that would be touched.")
    asked_by: str = Field(alias="asked_by_name")
    asked_at: datetime
    expires_at: datetime | None
    decided_by: str = Field(alias="decided_by_name", description="Empty where nobody did.")
    decided_at: datetime | None
    reason: str
    url: str = Field(description="Its page, for a person.")

    @staticmethod
    def resolve_schedule(row: Approval) -> str | None:
        return row.schedule.name if row.schedule else None

    @staticmethod
    def resolve_scenario(row: Approval) -> str:
        of = row.run or row.schedule
        return of.scenario_name if of else ""

    @staticmethod
    def resolve_url(row: Approval) -> str:
        return page_url(row)


class StepOfPlan(Schema):
    """`arguments` are YAML, with secrets left as references."""

    phase: str
    name: str
    role: str = Field(description="guard, do, undo or probe.")
    driver: str
    arguments: str


class OneApproval(ApprovalInList):
    """With what would be done: by the run, or by the schedule as it is now."""

    variables: dict[str, JsonValue]
    steps: list[StepOfPlan]
    problem: str = Field(description="Why it cannot be run as it is now; empty where it can.")

    @classmethod
    def of(cls, row: Approval, request: HttpRequest) -> "OneApproval":
        told: Any = row
        told.variables, told.steps, told.problem = approvals.variables_of(row), [], ""
        try:
            plan = approvals.plan_of(row)
        except (InvalidDocument, InvalidVariables) as error:
            told.problem = f"it cannot be run as it is now: {error}"
        else:
            told.steps = list(steps_of(plan)) if plan else []
            told.problem = "" if plan else "its scenario is not stored any more"
        return cls.model_validate(told, context={"request": request})


class ApprovalPage(Schema):
    items: list[ApprovalInList]
    next_cursor: str | None


class ApprovalFilters(Filters):
    """`schedule` and `asked_by` are whole names."""

    state: ApprovalState | None = None
    run: UUID | None = None
    schedule: Words | None = None
    asked_by: Words | None = None


class Consent(Body):
    reason: str = Field("", max_length=MAX_REASON_LENGTH)


class Refusal(Body):
    reason: str = Field(
        min_length=1,
        max_length=MAX_REASON_LENGTH,
        description="Whoever asked will want to know what to change.",
    )


@router.get("/approvals", response={200: ApprovalPage, **REFUSALS}, url_name="approvals")
@needs("scenarios.view_approval")
def list_approvals(request: HttpRequest, filters: Query[ApprovalFilters]) -> dict[str, Any]:
    """What waits for a second person first, and of each the newest first."""
    pending = Case(When(state=ApprovalState.PENDING, then=1), default=0, output_field=IntegerField())
    rows = Approval.objects.for_a_list().annotate(is_pending=pending)
    return page_of(chosen(rows, filters), ORDER, filters)


def chosen(rows: QuerySet[Approval], filters: ApprovalFilters) -> QuerySet[Approval]:
    asked = {
        "state": filters.state,
        "run_id": filters.run,
        "schedule__name": filters.schedule,
        "asked_by_name": filters.asked_by,
    }
    return rows.filter(**{field: value for field, value in asked.items() if value is not None})


@router.get("/approvals/{approval_id}", response={200: OneApproval, **OF_ONE}, url_name="approval")
@needs("scenarios.view_approval")
def get_approval(request: HttpRequest, approval_id: Path[RowId]) -> OneApproval:
    """What would be broken, step by step."""
    return OneApproval.of(approval_of(approval_id), request)


@router.post(
    "/approvals/{approval_id}/approve",
    response={200: OneApproval, **OF_ONE, **OF_A_BODY, 409: Problem},
    url_name="approve",
    openapi_extra=WRITES_ONCE,
)
@needs(approvals.PERMISSION)
@decorate_view(carried_out_once)
def approve(request: HttpRequest, why: Consent, approval_id: Path[RowId]) -> OneApproval:
    """Let the run begin, or the schedule's runs as it is now. Refused (403) to whoever asked for it."""
    caller = caller_of(request)
    approvals.approve(approval_of(approval_id), by=caller.user, reason=make_storable(why.reason).strip())
    return OneApproval.of(approval_of(approval_id), request)


@router.post(
    "/approvals/{approval_id}/refuse",
    response={200: OneApproval, **OF_ONE, **OF_A_BODY, 409: Problem},
    url_name="refuse",
    openapi_extra=WRITES_ONCE,
)
@needs(approvals.PERMISSION)
@decorate_view(carried_out_once)
def refuse(request: HttpRequest, why: Refusal, approval_id: Path[RowId]) -> OneApproval:
    """End the run `aborted`; a schedule stays without an approval until it is changed."""
    caller = caller_of(request)
    reason = make_storable(why.reason).strip()
    if not reason:
        place = ProblemAt(path="body.reason", message="it is empty: what should be changed?")
        raise RefusedError("A refusal needs a reason.", [place])
    approvals.refuse(approval_of(approval_id), by=caller.user, reason=reason)
    return OneApproval.of(approval_of(approval_id), request)
