"""Runs: start, find, follow, stop and report them."""

from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status
from ninja.decorators import decorate_view
from pydantic import JsonValue, StringConstraints

from scenarios.api.access import Caller, get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import find_run, find_scenario
from scenarios.api.paging import Filters, Order, Text, Time, build_page, parse_cursor_time
from scenarios.api.patterns import RUN_ID_PREFIX
from scenarios.api.problems import Problem
from scenarios.api.run_fields import (
    RunDetails,
    RunInList,
    RunStatusFilter,
    describe_run,
    describe_run_in_full,
)
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.domain.outputs import make_storable
from scenarios.domain.priorities import MAX_PRIORITY, MIN_PRIORITY
from scenarios.models import Run, Scenario
from scenarios.reports import FORMATS, file_name, render_report
from scenarios.reports.page import build_policy
from scenarios.runs import commands as run_commands

router = Router(tags=["runs"])
ORDER = Order(("queued_at", "id"), (parse_cursor_time, UUID), descending=True)
NO_SUCH_KEY = 0
PRIORITY = Field(
    0, ge=MIN_PRIORITY, le=MAX_PRIORITY, description="Among waiting runs, the highest priority begins first."
)
OUTCOMES = {outcome.value for outcome in Outcome}
IdPrefix = Annotated[str, StringConstraints(pattern=RUN_ID_PREFIX)]


class RunPage(Schema):
    items: list[RunInList]
    next_cursor: str | None


class RunFilters(Filters):
    scenario: Text | None = Field(None, description="The whole name of a scenario.")
    environment: Text | None = Field(None, description="The whole name of an environment.")
    status: RunStatusFilter | None = None
    rollback: Rollback | None = None
    since: Time | None = Field(None, description="Runs that were created at this time or later.")
    until: Time | None = Field(None, description="Runs that were created at this time or earlier.")
    by: Text | None = Field(None, description="The name of the user who started the run.")
    id: IdPrefix | None = Field(None, description="The id, or the beginning of it.")


class RunRequest(Body):
    """With `wait: false`, the run is refused if it could not begin at once."""

    variables: dict[str, JsonValue] = {}
    environment: Text | None = Field(
        None, description="Take the addresses of services, and other variables, from this environment."
    )
    wait: bool = True
    priority: int = PRIORITY


# A request without a body: the defaults.
DEFAULTS = RunRequest()


class DocumentRunRequest(RunRequest):
    document: str = Field(description="The document to run; it is not stored as a scenario.")


class StopRequest(Body):
    """Why the run is stopped; without a body, no reason is given."""

    reason: str = Field("", max_length=150, description="It becomes part of the run's reason.")


WITHOUT_REASON = StopRequest()


class StopResult(Schema):
    """`stopping` is false if the run has already ended or is already being stopped."""

    run: UUID
    stopping: bool


@router.get("/runs", response={200: RunPage, **REFUSALS}, url_name="runs")
@needs("scenarios.view_run")
def list_runs(request: HttpRequest, filters: Query[RunFilters]) -> dict[str, Any]:
    """List runs, the newest first."""
    return build_page(filter_runs(select_runs(), filters), ORDER, filters, describe_run)


@router.get("/scenarios/{name}/runs", response={200: RunPage, **ITEM_REFUSALS}, url_name="scenario_runs")
@needs("scenarios.view_run")
def list_runs_of_scenario(request: HttpRequest, name: str, filters: Query[Filters]) -> dict[str, Any]:
    """List the scenario's runs, the newest first."""
    return build_page(select_runs().filter(scenario=find_scenario(name)), ORDER, filters, describe_run)


def select_runs() -> QuerySet[Run]:
    rows = Run.objects.select_related("scenario", "started_by")
    return rows.defer("document", "included", "scenario__document", "scenario__description")


def filter_runs(rows: QuerySet[Run], filters: RunFilters) -> QuerySet[Run]:
    # Filters by key instead of a join, for which PostgreSQL would read and sort every run of that name.
    conditions = {
        **_select_scenario(filters.scenario),
        "started_by": find_key(User.objects.filter(username=filters.by), filters.by),
        "environment": filters.environment,
        "rollback": filters.rollback,
        "queued_at__gte": filters.since,
        "queued_at__lte": filters.until,
        "outcome" if filters.status in OUTCOMES else "state": filters.status,
    }
    rows = rows.filter(**{field: value for field, value in conditions.items() if value is not None})
    if filters.id:
        digits = filters.id.replace("-", "")
        rows = rows.filter(id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
    return rows


def _select_scenario(name: str | None) -> dict[str, Any]:
    """By key; the runs of a file or of a deleted scenario have only its name."""
    key = find_key(Scenario.objects.filter(name=name), name)
    if key != NO_SUCH_KEY:
        return {"scenario": key}
    return {"scenario__isnull": True, "scenario_name": name}


def find_key(rows: QuerySet[Any], name: str | None) -> int | None:
    """The key of the first row; NO_SUCH_KEY without rows, None if no name is given."""
    if name is None:
        return None
    found: int | None = rows.values_list("pk", flat=True).first()
    return NO_SUCH_KEY if found is None else found


@router.post(
    "/scenarios/{name}/runs",
    response={201: RunDetails, **ITEM_REFUSALS, **BODY_REFUSALS, 409: Problem},
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.run_scenario")
@decorate_view(run_once)
def start_run(
    request: HttpRequest, response: HttpResponse, name: str, body: RunRequest = DEFAULTS
) -> Status[dict[str, Any]]:
    """Start a run of the scenario. It waits while another run holds its services."""
    caller = get_caller(request)
    stored = find_scenario(name)
    run = start(caller, stored.document, body, stored)
    response["Location"] = reverse("api:run", args=[run.pk])
    return Status(HTTPStatus.CREATED, describe_run_in_full(run))


@router.post(
    "/runs", response={201: RunDetails, **REFUSALS, **BODY_REFUSALS, 409: Problem}, openapi_extra=IDEMPOTENT
)
@needs("scenarios.run_scenario", "scenarios.add_scenario", "scenarios.change_scenario")
@decorate_view(run_once)
def start_run_of_document(
    request: HttpRequest, response: HttpResponse, body: DocumentRunRequest
) -> Status[dict[str, Any]]:
    """Start a run of a document that is not stored. This needs the permissions to store one."""
    caller = get_caller(request)
    run = start(caller, body.document, body, None)
    response["Location"] = reverse("api:run", args=[run.pk])
    return Status(HTTPStatus.CREATED, describe_run_in_full(run))


def start(caller: Caller, source: str, body: RunRequest, stored: Scenario | None) -> Run:
    return run_commands.start_run(
        source,
        make_storable(body.variables),
        origin="api",
        scenario=stored,
        by=caller.user,
        wait=body.wait,
        priority=body.priority,
        environment=body.environment or "",
    )


@router.get("/runs/{run_id}", response={200: RunDetails, **ITEM_REFUSALS}, url_name="run")
@needs("scenarios.view_run")
def get_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Show the run as it is now."""
    return describe_run_in_full(find_run(run_id))


@router.post(
    "/runs/{run_id}/stop",
    response={200: StopResult, **ITEM_REFUSALS, **BODY_REFUSALS},
    url_name="stop_run",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.stop_run")
@decorate_view(run_once)
def stop_run(request: HttpRequest, run_id: UUID, body: StopRequest = WITHOUT_REASON) -> dict[str, Any]:
    """Stop the run: its faults are undone, then it ends as `aborted`."""
    caller = get_caller(request)
    run = find_run(run_id)
    by, reason = caller.user.get_username(), str(make_storable(body.reason))
    return {"run": run.id, "stopping": run_commands.request_stop(run, by=by, reason=reason)}


class ReportFormat(Schema):
    format: Literal["html", "json", "junit", "md"] = "json"


@router.get(
    "/runs/{run_id}/report",
    response={200: None, **ITEM_REFUSALS},
    url_name="report",
    openapi_extra={
        "responses": {
            200: {
                "description": "The report: the same bytes as from the admin site and the command line.",
                "content": {
                    report_format.media_type: {
                        "schema": {"type": "object"} if name == "json" else {"type": "string"}
                    }
                    for name, report_format in FORMATS.items()
                },
            }
        }
    },
)
@needs("scenarios.view_run")
def get_report(request: HttpRequest, run_id: UUID, query: Query[ReportFormat]) -> HttpResponse:
    """Report what the run did, in one of four formats."""
    run, name = find_run(run_id), query.format
    response = HttpResponse(
        render_report(run, name), content_type=f"{FORMATS[name].media_type}; charset=utf-8"
    )
    response["Content-Disposition"] = f'inline; filename="{file_name(run, name)}"'
    if name == "html":
        response["Content-Security-Policy"] = build_policy()
    return response
