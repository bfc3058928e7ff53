"""Finds rows by the name or id in an address."""

from typing import Annotated, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from ninja import Field

from scenarios.api.problems import NotFoundError, ProblemAt, RefusedError
from scenarios.language.yaml_tree import read_tree
from scenarios.library.sync import AnyDocument
from scenarios.models import (
    AllowList,
    Approval,
    Environment,
    Fault,
    Host,
    Run,
    Scenario,
    Schedule,
    Service,
    Suite,
    SuiteRun,
    Webhook,
)
from scenarios.models.fields import DNS_LABEL

Row = TypeVar("Row", bound=Model)
# Generated clients take an integer without a format for one of 32 bits.
Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
RowId = Annotated[int, Field(ge=1, le=2**63 - 1, json_schema_extra={"format": "int64"})]


def find_scenario(name: str) -> Scenario:
    return find_by_name(Scenario.objects.select_related("changed_by"), name, "scenario")


def find_suite(name: str) -> Suite:
    return find_by_name(Suite.objects.select_related("changed_by"), name, "suite")


def find_schedule(name: str) -> Schedule:
    return find_by_name(Schedule.objects.select_related("changed_by"), name, "schedule")


def find_service(name: str) -> Service:
    return find_by_name(Service.objects.all(), name, "service")


def find_environment(name: str) -> Environment:
    return find_by_name(Environment.objects.all(), name, "environment")


def find_allow_list(name: str) -> AllowList:
    return find_by_name(AllowList.objects.all(), name, "allow list")


def find_host(name: str) -> Host:
    return find_by_name(Host.objects.all(), name, "host")


def find_by_name(rows: QuerySet[Row], name: str, kind: str) -> Row:
    found = rows.filter(name=name).first() if is_label(name) else None
    if found is None:
        raise NotFoundError(f"There is no {kind} {name[:80]!r}.")
    return found


def is_label(name: str) -> bool:
    """Anything else may hold characters that a database refuses."""
    try:
        DNS_LABEL(name)
    except ValidationError:
        return False
    return True


def check_name(name: str) -> str:
    """Check that something can be stored under the name.

    Raises:
        RefusedError: the name is not a DNS label.
    """
    if not is_label(name):
        place = ProblemAt(path="path.name", message=str(DNS_LABEL.message))
        raise RefusedError(f"Invalid name {name[:80]!r}.", [place])
    return name


def locate_name(document: AnyDocument, message: str, hint: str) -> ProblemAt:
    """A problem at the place of the document's name."""
    node = read_tree(document.source).value["metadata"].value["name"]
    return ProblemAt(path="metadata.name", message=message, hint=hint, line=node.line, column=node.column)


def find_suite_run(run_id: UUID) -> SuiteRun:
    found = SuiteRun.objects.filter(id=run_id).select_related("started_by").first()
    if found is None:
        raise NotFoundError(f"There is no suite run {str(run_id)!r}.")
    return found


def find_run(run_id: UUID) -> Run:
    found = Run.objects.filter(id=run_id).select_related("scenario", "started_by").first()
    if found is None:
        raise NotFoundError(f"There is no run {str(run_id)!r}.")
    return found


def find_fault(fault_id: int) -> Fault:
    found = Fault.objects.filter(pk=fault_id).select_related("run").first()
    if found is None:
        raise NotFoundError(f"There is no fault {fault_id!r}.")
    return found


def find_approval(approval_id: int) -> Approval:
    found = Approval.objects.filter(pk=approval_id).select_related("run", "schedule").first()
    if found is None:
        raise NotFoundError(f"There is no approval {approval_id!r}.")
    return found


def find_webhook(webhook_id: int) -> Webhook:
    found = Webhook.objects.filter(pk=webhook_id).select_related("changed_by").first()
    if found is None:
        raise NotFoundError(f"There is no webhook {webhook_id!r}.")
    return found


def check_document_name(document: AnyDocument, name: str) -> None:
    """Raises RefusedError if the document has another name than the address."""
    if document.name != name:
        detail = f"The address names {name[:80]!r}, but the document {document.name!r}."
        raise RefusedError(
            detail,
            [locate_name(document, f"must be {name[:80]!r}", "no name can be changed; import a new one")],
        )
