"""Suites: store, find, validate and delete them."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status

from scenarios.api import example_documents
from scenarios.api.access import get_caller, needs
from scenarios.api.description import BODY_REFUSALS, REFUSALS, describe_document
from scenarios.api.names import check_document_name, find_suite
from scenarios.api.paging import BY_NAME, NameFilters, Text, build_page
from scenarios.api.preconditions import Versioned
from scenarios.api.resources import Resource
from scenarios.api.scenarios import ValidDocument
from scenarios.domain.suite_states import ShownState
from scenarios.models import Suite
from scenarios.suites import storage
from scenarios.suites.documents import SuiteDocument, read_suite
from scenarios.suites.matrix import count_by_state, find_gravest

router = Router(tags=["suites"])
SUITE = Resource(router, "/suites/{name}", "suite", Versioned(Suite, ("document",)))
DOCUMENT = describe_document("The suite's document.", example_documents.SUITE_DOCUMENT)


class SuiteFacts(Schema):
    name: str
    title: str
    description: str
    tags: list[str]
    service: str
    created_at: datetime
    changed_at: datetime
    changed_by: str | None

    @staticmethod
    def resolve_changed_by(row: Suite) -> str | None:
        return row.changed_by.get_username() if row.changed_by else None


class SuiteInList(SuiteFacts):
    """`state` is the gravest of its cells."""

    state: ShownState
    counts: dict[str, int]


class StoredSuite(SuiteFacts):
    document: str


class SuitePage(Schema):
    items: list[SuiteInList]
    next_cursor: str | None


class SuiteFilters(NameFilters):
    """`service` matches the whole name of the service that the suite is about."""

    service: Text | None = None


@router.get("/suites", response={200: SuitePage, **REFUSALS}, url_name="suites")
@needs("scenarios.view_scenario")
def list_suites(request: HttpRequest, filters: Query[SuiteFilters]) -> dict[str, Any]:
    """List the stored suites by name, without their documents."""
    rows = filters.select(Suite.objects.select_related("changed_by").defer("document"))
    if filters.service:
        rows = rows.filter(service=filters.service)
    page = build_page(rows, BY_NAME, filters)
    counts = count_by_state(page["items"])
    for row in page["items"]:
        row.counts = {state.value: count for state, count in counts[row.name].items()}
        row.state = find_gravest(counts[row.name])
    return page


@SUITE.get(StoredSuite, needs("scenarios.view_scenario"))
def get_suite(request: HttpRequest, name: str) -> Suite:
    """Show the suite with its document."""
    return find_suite(name)


@SUITE.put(StoredSuite, needs("scenarios.add_scenario", "scenarios.change_scenario"), body=DOCUMENT)
def put_suite(request: HttpRequest, name: str) -> Suite:
    """Store the suite in the body, or nothing if it is invalid."""
    return storage.save_suite(read_suite_named(request, name), by=get_caller(request).user)


@SUITE.delete(needs("scenarios.delete_scenario"), may_conflict=True)
def delete_suite(request: HttpRequest, name: str) -> Status[None]:
    """Delete the suite; the runs that it has started stay. Refused while a run of the suite goes on."""
    storage.remove_suite(find_suite(name).name, by=get_caller(request).user)
    return Status(HTTPStatus.NO_CONTENT, None)


@router.post(
    "/suites/{name}/validate",
    response={200: ValidDocument, **REFUSALS, **BODY_REFUSALS},
    url_name="validate_suite",
    openapi_extra=DOCUMENT,
)
@needs("scenarios.view_scenario")
def validate_suite(request: HttpRequest, name: str) -> dict[str, Any]:
    """Validate the suite in the body; nothing is stored."""
    document = read_suite_named(request, name)
    return {"name": document.name, "title": document.title}


def read_suite_named(request: HttpRequest, name: str) -> SuiteDocument:
    document = read_suite(request.body)
    check_document_name(document, name)
    return document
