"""The matrices of suites, and their runs: start, follow, stop and report them."""

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status
from ninja.decorators import decorate_view

from scenarios.api.access import get_caller, needs
from scenarios.api.description import IDEMPOTENT, ITEM_REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import find_suite, find_suite_run
from scenarios.api.paging import Filters, Order, build_page, parse_cursor_time
from scenarios.api.problems import Problem
from scenarios.domain.suite_states import CellState, ShownState, TriedState
from scenarios.models import SuiteRun
from scenarios.suites.junit import render_junit
from scenarios.suites.records import build_matrix_record, build_suite_run_record
from scenarios.suites.running import request_suite_stop
from scenarios.suites.running import start_suite as begin_suite

router = Router(tags=["suites"])
ORDER = Order(("started_at", "id"), (parse_cursor_time, UUID), descending=True)


class SuiteStatus(StrEnum):
    """`running`, or the outcome once the run of the suite has ended."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"


class MatrixCellRecord(Schema):
    dependency: str
    fault: str
    must: str = Field(description="survive or fail.")
    state: ShownState
    proved: CellState = Field(description="What the last proof showed, also if it is older.")
    reason: str
    obstacle: str = Field(description="Why the fault cannot be injected; empty if it can.")
    run: UUID | None = Field(description="The run that proves the state.")
    proved_at: datetime | None


class SuiteMatrix(Schema):
    """`state` is the gravest of the cells'. `badge` is the path of the badge, which needs no token."""

    suite: str
    title: str
    service: str
    state: ShownState
    words: str
    counts: dict[str, int]
    badge: str
    cells: list[MatrixCellRecord]


class TriedCellRecord(Schema):
    dependency: str
    fault: str
    state: TriedState
    reason: str
    run: UUID | None
    waiting_for: str = Field(description="What the cell's run waits for; empty if nothing.")


class SuiteRunInList(Schema):
    id: UUID
    suite: str
    status: SuiteStatus
    reason: str
    created_at: datetime
    finished_at: datetime | None
    created_by: str | None
    origin: str = Field(description="Where it was requested: admin, api, cli or schedule.")
    stopping: bool


class SuiteRunDetails(SuiteRunInList):
    cells: list[TriedCellRecord]


class SuiteRunPage(Schema):
    items: list[SuiteRunInList]
    next_cursor: str | None


class SuiteRunFilters(Filters):
    """There is none but the page."""


class SuiteStopResult(Schema):
    run: UUID
    stopping: bool = Field(description="False if it has ended, or is being stopped already.")


class SuiteReportFormat(Schema):
    format: Literal["junit"] = "junit"


@router.get("/suites/{name}/matrix", response={200: SuiteMatrix, **ITEM_REFUSALS}, url_name="suite_matrix")
@needs("scenarios.view_scenario")
def get_matrix(request: HttpRequest, name: str) -> dict[str, Any]:
    """Show what each dependency and fault has shown, with the run that proves it."""
    return build_matrix_record(find_suite(name))


@router.post(
    "/suites/{name}/runs",
    response={201: SuiteRunDetails, **ITEM_REFUSALS, 409: Problem},
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.run_scenario")
@decorate_view(run_once)
def start_suite(request: HttpRequest, response: HttpResponse, name: str) -> Status[dict[str, Any]]:
    """Run the suite: one cell after another, each as a run of its own. Refused while a run goes on."""
    suite_run = begin_suite(find_suite(name), origin="api", by=get_caller(request).user)
    response["Location"] = reverse("api:suite_run", args=[suite_run.pk])
    return Status(HTTPStatus.CREATED, build_suite_run_record(suite_run))


@router.get("/suites/{name}/runs", response={200: SuiteRunPage, **ITEM_REFUSALS}, url_name="suite_runs")
@needs("scenarios.view_run")
def list_suite_runs(request: HttpRequest, name: str, filters: Query[SuiteRunFilters]) -> dict[str, Any]:
    """List the runs of the suite, the newest first, without their cells."""
    rows = SuiteRun.objects.filter(suite=find_suite(name)).select_related("started_by").defer("document")
    page = build_page(rows, ORDER, filters)
    return {**page, "items": [build_suite_run_record(row, with_cells=False) for row in page["items"]]}


@router.get("/suite-runs/{run_id}", response={200: SuiteRunDetails, **ITEM_REFUSALS}, url_name="suite_run")
@needs("scenarios.view_run")
def get_suite_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Show the run of a suite and its cells."""
    return build_suite_run_record(find_suite_run(run_id))


@router.post(
    "/suite-runs/{run_id}/stop",
    response={200: SuiteStopResult, **ITEM_REFUSALS},
    url_name="stop_suite_run",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.stop_run")
@decorate_view(run_once)
def stop_suite_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Stop the run of the suite, and the run of its present cell: its faults are undone first."""
    suite_run, caller = find_suite_run(run_id), get_caller(request)
    return {"run": suite_run.id, "stopping": request_suite_stop(suite_run, by=caller.user.get_username())}


@router.get(
    "/suite-runs/{run_id}/report",
    response={200: None, **ITEM_REFUSALS},
    url_name="suite_report",
    openapi_extra={
        "responses": {
            200: {
                "description": "The report.",
                "content": {
                    "text/xml": {"schema": {"type": "string"}},
                },
            }
        }
    },
)
@needs("scenarios.view_run")
def get_suite_report(request: HttpRequest, run_id: UUID, query: Query[SuiteReportFormat]) -> HttpResponse:
    """Report the run of a suite as JUnit XML, with a test case for each cell."""
    content = render_junit(find_suite_run(run_id))
    return HttpResponse(content, content_type="text/xml; charset=utf-8")
