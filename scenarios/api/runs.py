"""Runs: started, found, followed, stopped, reported."""

from datetime import datetime
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

from scenarios.api.access import Caller, caller_of, needs
from scenarios.api.bodies import Body
from scenarios.api.description import OF_A_BODY, OF_ONE, REFUSALS, WRITES_ONCE
from scenarios.api.idempotency import carried_out_once
from scenarios.api.names import run_of, scenario_named
from scenarios.api.paging import Filters, Moment, Order, Words, moment_in_cursor, page_of
from scenarios.api.problems import Problem
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.domain.outputs import make_storable
from scenarios.domain.priorities import MAX_PRIORITY, MIN_PRIORITY
from scenarios.models import Approval, Run, Scenario
from scenarios.records import list_fields, record_run
from scenarios.reports import FORMATS, file_name, report
from scenarios.reports.page import policy
from scenarios.runs import commands as run_commands
from scenarios.runs.history import story_of

router = Router(tags=["runs"])
ORDER = Order(("queued_at", "id"), (moment_in_cursor, UUID), descending=True)
Standing = Literal[
    "awaiting_approval",
    "queued",
    "running",
    "passed",
    "failed",
    "errored",
    "aborted",
    "timed_out",
    "interrupted",
]
NO_KEY = 0
PRIORITY = Field(
    0, ge=MIN_PRIORITY, le=MAX_PRIORITY, description="Of runs that wait, those with the highest begin first."
)
ENDS = {outcome.value for outcome in Outcome}
Beginning = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{1,8}(-[0-9a-f]{0,4}){0,3}(-[0-9a-f]{0,12})?$")
]


class RunInList(Schema):
    """`status` is how it ended, or how it stands until then; `rollback` is null until then."""

    id: UUID
    scenario: str
    title: str
    status: Standing
    rollback: Rollback | None
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds from its start to its end; null until then.")
    created_by: str | None
    origin: str = Field(description="Where it was started: admin, api, cli or schedule.")
    variables: dict[str, JsonValue]
    priority: int = Field(description="Of runs that wait, those with the highest begin first.")
    attempt: int
    waiting_for: str = Field(description="What keeps it from beginning; empty where nothing does.")
    stopping: bool = Field(description="Whether its end was asked for.")
    last_event: int = Field(description="Sequence number of its newest event.")
    url: str = Field(description="Its page, for a person.")


class OneRun(RunInList):
    """With what takes a look at its events."""

    time_to_detect: float | None = Field(description="Seconds; null where nothing was to be detected.")
    time_to_recover: float | None = Field(description="Seconds; null where it did not recover.")
    approval: int | None = Field(description="Its approval, where it needed one: see approvals/ID.")


def describe_run(run: Run) -> dict[str, Any]:
    title = run.scenario.title if run.scenario and run.scenario.title else run.scenario_name
    return {**list_fields(record_run(run)), "title": title}


def describe_run_in_full(run: Run) -> dict[str, Any]:
    """With the fields that take a look at its events."""
    story = story_of(run)
    return {
        **describe_run(run),
        "time_to_detect": story.time_to_detect,
        "time_to_recover": story.time_to_recover,
        "approval": Approval.objects.filter(run=run).values_list("pk", flat=True).first(),
    }


class RunPage(Schema):
    items: list[RunInList]
    next_cursor: str | None


class RunFilters(Filters):
    """`by` is a user's name; `since` and `until` bound when it was created; `id` may be its beginning."""

    scenario: Words | None = None
    status: Standing | None = None
    rollback: Rollback | None = None
    since: Moment | None = None
    until: Moment | None = None
    by: Words | None = None
    id: Beginning | None = None


class NewRun(Body):
    """With `wait: false` it is refused where it could not begin at once."""

    variables: dict[str, JsonValue] = {}
    wait: bool = True
    priority: int = PRIORITY


class NewRunOfDocument(NewRun):
    document: str = Field(description="The document to carry out; it is not stored as a scenario.")


class StopOfRun(Schema):
    """`stopping` is false where the run has ended already, or is being stopped."""

    run: UUID
    stopping: bool


@router.get("/runs", response={200: RunPage, **REFUSALS}, url_name="runs")
@needs("scenarios.view_run")
def list_runs(request: HttpRequest, filters: Query[RunFilters]) -> dict[str, Any]:
    """Runs, the newest first."""
    return page_of(chosen(rows_of_list(), filters), ORDER, filters, describe_run)


@router.get("/scenarios/{name}/runs", response={200: RunPage, **OF_ONE}, url_name="scenario_runs")
@needs("scenarios.view_run")
def list_runs_of_scenario(request: HttpRequest, name: str, filters: Query[Filters]) -> dict[str, Any]:
    """The scenario's runs, the newest first."""
    return page_of(rows_of_list().filter(scenario=scenario_named(name)), ORDER, filters, describe_run)


def rows_of_list() -> QuerySet[Run]:
    rows = Run.objects.select_related("scenario", "started_by")
    return rows.defer("document", "scenario__document", "scenario__description")


def chosen(rows: QuerySet[Run], filters: RunFilters) -> QuerySet[Run]:
    # By key, and not by a join: PostgreSQL would read every run of that name, and sort them.
    asked = {
        "scenario": key_of(Scenario.objects.filter(name=filters.scenario), filters.scenario),
        "started_by": key_of(User.objects.filter(username=filters.by), filters.by),
        "rollback": filters.rollback,
        "queued_at__gte": filters.since,
        "queued_at__lte": filters.until,
        "outcome" if filters.status in ENDS else "state": filters.status,
    }
    rows = rows.filter(**{field: value for field, value in asked.items() if value is not None})
    if filters.id:
        digits = filters.id.replace("-", "")
        rows = rows.filter(id__range=(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))))
    return rows


def key_of(rows: QuerySet[Any], name: str | None) -> int | None:
    """The row's key, that of no row where there is none of the name; None where nothing is asked for."""
    if name is None:
        return None
    found: int | None = rows.values_list("pk", flat=True).first()
    return NO_KEY if found is None else found


@router.post(
    "/scenarios/{name}/runs",
    response={201: OneRun, **OF_ONE, **OF_A_BODY, 409: Problem},
    openapi_extra=WRITES_ONCE,
)
@needs("scenarios.run_scenario")
@decorate_view(carried_out_once)
def start_run(
    request: HttpRequest, response: HttpResponse, name: str, wish: NewRun
) -> Status[dict[str, Any]]:
    """Run the scenario with these variables. It waits its turn where another run holds its services."""
    caller = caller_of(request)
    stored = scenario_named(name)
    run = started(caller, stored.document, wish, stored)
    response["Location"] = reverse("api:run", args=[run.pk])
    return Status(HTTPStatus.CREATED, describe_run_in_full(run))


@router.post(
    "/runs", response={201: OneRun, **REFUSALS, **OF_A_BODY, 409: Problem}, openapi_extra=WRITES_ONCE
)
@needs("scenarios.run_scenario", "scenarios.add_scenario", "scenarios.change_scenario")
@decorate_view(carried_out_once)
def start_run_of_document(
    request: HttpRequest, response: HttpResponse, wish: NewRunOfDocument
) -> Status[dict[str, Any]]:
    """Run a document that is not stored. It needs the permissions to store one, too."""
    caller = caller_of(request)
    run = started(caller, wish.document, wish, None)
    response["Location"] = reverse("api:run", args=[run.pk])
    return Status(HTTPStatus.CREATED, describe_run_in_full(run))


def started(caller: Caller, source: str, wish: NewRun, stored: Scenario | None) -> Run:
    return run_commands.start_run(
        source,
        make_storable(wish.variables),
        origin="api",
        scenario=stored,
        by=caller.user,
        wait=wish.wait,
        priority=wish.priority,
    )


@router.get("/runs/{run_id}", response={200: OneRun, **OF_ONE}, url_name="run")
@needs("scenarios.view_run")
def get_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """The run as it is now."""
    return describe_run_in_full(run_of(run_id))


@router.post(
    "/runs/{run_id}/stop", response={200: StopOfRun, **OF_ONE}, url_name="stop_run", openapi_extra=WRITES_ONCE
)
@needs("scenarios.stop_run")
@decorate_view(carried_out_once)
def stop_run(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """End the run `aborted`; its faults are undone first."""
    caller = caller_of(request)
    run = run_of(run_id)
    return {"run": run.id, "stopping": run_commands.request_stop(run, by=caller.user.get_username())}


class ReportFormat(Schema):
    format: Literal["html", "json", "junit", "md"] = "json"


@router.get(
    "/runs/{run_id}/report",
    response={200: None, **OF_ONE},
    url_name="report",
    openapi_extra={
        "responses": {
            200: {
                "description": "The report, the same bytes as on the run's page and by the command line.",
                "content": {
                    one.media_type: {"schema": {"type": "object"} if name == "json" else {"type": "string"}}
                    for name, one in FORMATS.items()
                },
            }
        }
    },
)
@needs("scenarios.view_run")
def get_report(request: HttpRequest, run_id: UUID, wanted: Query[ReportFormat]) -> HttpResponse:
    """What the run did, in one of four formats."""
    run, name = run_of(run_id), wanted.format
    answer = HttpResponse(report(run, name), content_type=f"{FORMATS[name].media_type}; charset=utf-8")
    answer["Content-Disposition"] = f'inline; filename="{file_name(run, name)}"'
    if name == "html":
        answer["Content-Security-Policy"] = policy()
    return answer
