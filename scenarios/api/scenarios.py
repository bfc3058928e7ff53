"""Scenarios: store, find, validate and delete them."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status

from scenarios.api import example_documents
from scenarios.api.access import get_caller, needs
from scenarios.api.description import BODY_REFUSALS, REFUSALS, describe_document
from scenarios.api.names import check_document_name, find_scenario
from scenarios.api.paging import BY_NAME, NameFilters, Text, build_page
from scenarios.api.preconditions import Versioned
from scenarios.api.resources import Resource
from scenarios.api.run_fields import RunStatus
from scenarios.domain.outcomes import Rollback
from scenarios.drivers import documents
from scenarios.language.document import Document
from scenarios.library import scenarios as stored_scenarios
from scenarios.library.last_runs import find_last_runs
from scenarios.library.sync import remove_scenario
from scenarios.models import Scenario
from scenarios.published.records import list_fields, record_last_run

router = Router(tags=["scenarios"])
SCENARIO = Resource(router, "/scenarios/{name}", "scenario", Versioned(Scenario, ("document",)))
DOCUMENT = describe_document("The scenario's document.", example_documents.SCENARIO_DOCUMENT)


class ValidDocument(Schema):
    name: str
    title: str


class LastRun(Schema):
    """The newest run of a scenario."""

    id: UUID
    status: RunStatus
    rollback: Rollback | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str = Field(description="The run's page in the admin site.")


class ScenarioInList(Schema):
    """`last_run` is no part of what the ETag stands for, because a run does not change its scenario."""

    name: str
    title: str
    description: str
    tags: list[str]
    created_at: datetime
    changed_at: datetime
    changed_by: str | None
    last_run: LastRun | None = Field(description="The newest run; null if there is none.")

    @staticmethod
    def resolve_changed_by(row: Scenario) -> str | None:
        return row.changed_by.get_username() if row.changed_by else None


class StoredScenario(ScenarioInList):
    document: str


class ScenarioPage(Schema):
    items: list[ScenarioInList]
    next_cursor: str | None


class ScenarioFilters(NameFilters):
    tag: Text | None = Field(None, description="A whole tag.")
    text: Text | None = Field(None, description="A part of the name, the title or the description.")


@router.get("/scenarios", response={200: ScenarioPage, **REFUSALS}, url_name="scenarios")
@needs("scenarios.view_scenario")
def list_scenarios(request: HttpRequest, filters: Query[ScenarioFilters]) -> dict[str, Any]:
    """List the stored scenarios by name, without their documents."""
    rows = Scenario.objects.select_related("changed_by").defer("document")
    page = build_page(filter_scenarios(rows, filters), BY_NAME, filters)
    return {**page, "items": add_last_runs(page["items"])}


def add_last_runs(rows: Sequence[Scenario]) -> Sequence[Scenario]:
    """The same rows, each with its `last_run`; two queries, however many rows there are."""
    found = find_last_runs(rows)
    for row in rows:
        last = found.get(row.pk)
        row.last_run = None if last is None else list_fields(record_last_run(last))  # type: ignore[attr-defined]
    return rows


def add_last_run(row: Scenario) -> Scenario:
    return add_last_runs([row])[0]


def filter_scenarios(rows: QuerySet[Scenario], filters: ScenarioFilters) -> QuerySet[Scenario]:
    rows = filters.select(rows)
    if filters.text:
        words = filters.text
        rows = rows.filter(
            Q(name__icontains=words) | Q(title__icontains=words) | Q(description__icontains=words)
        )
    if filters.tag:
        # The databases have no common operator for this, and there are hundreds of scenarios, not millions.
        tagged = [key for key, tags in rows.values_list("pk", "tags") if filters.tag in tags]
        rows = rows.filter(pk__in=tagged)
    return rows


@SCENARIO.get(StoredScenario, needs("scenarios.view_scenario"))
def get_scenario(request: HttpRequest, name: str) -> Scenario:
    """Show the scenario with its document."""
    return add_last_run(find_scenario(name))


@SCENARIO.put(
    StoredScenario,
    needs("scenarios.add_scenario", "scenarios.change_scenario"),
    body=DOCUMENT,
    may_conflict=True,
)
def put_scenario(request: HttpRequest, name: str) -> Scenario:
    """Store the document in the body, or nothing if it is invalid."""
    caller = get_caller(request)
    return add_last_run(stored_scenarios.save_scenario(read_document_named(request, name), by=caller.user))


@SCENARIO.delete(needs("scenarios.delete_scenario"), may_conflict=True, may_take_long=True)
def delete_scenario(request: HttpRequest, response: HttpResponse, name: str) -> Status[None]:
    """Delete the scenario; its runs stay. Refused while a run is unfinished or has left a fault.

    With more than 500 runs, it answers 202: the watchdog deletes the scenario, `Location` shows how far it
    is, and meanwhile the scenario cannot be run, scheduled or changed.
    """
    caller = get_caller(request)
    if remove_scenario(find_scenario(name).name, by=caller.user) is None:
        return Status(HTTPStatus.NO_CONTENT, None)
    response["Location"] = reverse("api:scenario_deletion", args=[name])
    return Status(HTTPStatus.ACCEPTED, None)


@router.post(
    "/scenarios/{name}/validate",
    response={200: ValidDocument, **REFUSALS, **BODY_REFUSALS},
    url_name="validate",
    openapi_extra=DOCUMENT,
)
@needs("scenarios.view_scenario")
def validate_scenario(request: HttpRequest, name: str) -> dict[str, Any]:
    """Validate the document in the body; nothing is stored."""
    document = read_document_named(request, name)
    return {"name": document.name, "title": document.title}


def read_document_named(request: HttpRequest, name: str) -> Document:
    document = documents.read_document(request.body)
    check_document_name(document, name)
    return document
