"""The machines that scenarios inject faults on."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status
from ninja.decorators import decorate_view
from pydantic import StringConstraints

from scenarios.api.access import needs, permit
from scenarios.api.bodies import Body
from scenarios.api.description import (
    BODY_REFUSALS,
    CONDITIONAL,
    IDEMPOTENT,
    ITEM_REFUSALS,
    REFUSALS,
    WRITE_REFUSALS,
)
from scenarios.api.idempotency import run_once
from scenarios.api.merge_patch import describe_patch, patch_request
from scenarios.api.names import check_name, find_host, is_label
from scenarios.api.paging import Filters, Order, Text, build_page, parse_cursor_name
from scenarios.api.patterns import ONE_LINE
from scenarios.api.preconditions import READ, Versioned
from scenarios.api.problems import Problem
from scenarios.api.services import CheckResults, describe_findings
from scenarios.control_room import home_queries
from scenarios.domain.outputs import make_storable
from scenarios.drivers.hosts import format_target
from scenarios.library import hosts as registered_hosts
from scenarios.library.host_checks import check_host
from scenarios.models import Host
from scenarios.models.hosts import MAX_LABEL_LENGTH, MAX_LABELS

router = Router(tags=["hosts"])
ORDER = Order(("name",), (parse_cursor_name,))
VERSIONED = Versioned(Host, ("address", "labels", "description", "is_protected"))
PROTECT = "scenarios.protect_host"
DEFAULTS = {"address": "", "labels": {}, "description": "", "protected": False}
Word = Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=MAX_LABEL_LENGTH)]


class HostInList(Schema):
    """`held_by` is the run that holds the host."""

    name: str
    address: str = Field(description="Where SSH reaches it; empty for the machine of the worker itself.")
    labels: dict[str, str]
    description: str
    protected: bool = Field(description="Whether runs that touch it need the approval of a second person.")
    held_by: UUID | None


class HostPage(Schema):
    items: list[HostInList]
    next_cursor: str | None


class HostFilters(Filters):
    """`name` matches a part of the name."""

    name: Text | None = None


class HostRequest(Body):
    """Fields that are missing or null keep their value. A new host is not protected."""

    address: str | None = Field(
        None,
        max_length=500,
        pattern=ONE_LINE,
        description="USER@HOST or USER@HOST:PORT; empty for the machine of the worker itself.",
    )
    labels: dict[Word, Word] | None = Field(
        None, max_length=MAX_LABELS, description="Replaces all labels; scenarios select hosts by them."
    )
    description: str | None = None
    protected: bool | None = None
    only_new: bool = Field(False, description="Refuse to change a registered host, with 409.")


@router.get("/hosts", response={200: HostPage, **REFUSALS}, url_name="hosts")
@needs("scenarios.view_host")
def list_hosts(request: HttpRequest, filters: Query[HostFilters]) -> dict[str, Any]:
    """List the hosts by name, with the runs that hold them."""
    rows = Host.objects.all()
    if filters.name:
        rows = rows.filter(name__contains=filters.name)
    page = build_page(rows, ORDER, filters)
    return {**page, "items": describe_hosts(page["items"])}


def describe_hosts(rows: Sequence[Host]) -> list[dict[str, Any]]:
    held = home_queries.find_holders()
    holders = [held.get(format_target(row.name)) for row in rows]
    return [
        {
            "name": row.name,
            "address": row.address,
            "labels": row.labels,
            "description": row.description,
            "protected": row.is_protected,
            "held_by": holder.pk if holder else None,
        }
        for row, holder in zip(rows, holders, strict=True)
    ]


@router.get(
    "/hosts/{name}",
    response={200: HostInList, **ITEM_REFUSALS},
    url_name="host",
    openapi_extra=READ,
)
@needs("scenarios.view_host")
@decorate_view(VERSIONED.read)
def get_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Show the host, with the run that holds it."""
    return describe_hosts([find_host(name)])[0]


def need_protect_permission(name: str, **_named: str) -> list[str]:
    """Moving or deleting a protected host would remove its protection."""
    is_protected = is_label(name) and Host.objects.filter(name=name, is_protected=True).exists()
    return [PROTECT] if is_protected else []


@router.put(
    "/hosts/{name}",
    response={200: HostInList, 201: HostInList, **WRITE_REFUSALS, **REFUSALS, **BODY_REFUSALS, 409: Problem},
    openapi_extra=CONDITIONAL,
)
@needs("scenarios.add_host", "scenarios.change_host", also=need_protect_permission)
@decorate_view(run_once)
@decorate_view(VERSIONED.write)
def put_host(request: HttpRequest, name: str, body: HostRequest) -> dict[str, Any]:
    """Register or change the host.

    To protect it, to change a protected one, and to register one at the address of a protected one, the
    caller needs the permission `protect_host`.
    """
    present = Host.objects.filter(name=check_name(name)).first()
    if not permit(request).may(PROTECT) and (body.address is not None or present is None):
        registered_hosts.check_address(Host(name=name, address=body.address or ""))
    return save_host(request, name, body)


@router.patch(
    "/hosts/{name}",
    response={200: HostInList, **WRITE_REFUSALS, **ITEM_REFUSALS, **BODY_REFUSALS},
    openapi_extra={**CONDITIONAL, **describe_patch("HostPatch")},
)
@needs("scenarios.change_host", also=need_protect_permission)
@decorate_view(run_once)
@decorate_view(VERSIONED.write)
def patch_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Change some fields of the host, by JSON merge patch; labels are merged."""
    host = find_host(name)
    patched = patch_request(request, HostRequest, list_writable(host))
    fields = {name: value for name, value in patched.model_dump().items() if value is not None}
    body = HostRequest.model_validate({**DEFAULTS, **fields})
    if not permit(request).may(PROTECT):
        registered_hosts.check_address(Host(name=name, address=body.address or ""))
    return save_host(request, name, body)


def list_writable(host: Host) -> dict[str, Any]:
    """The body of a PUT that changes nothing."""
    return {
        "address": host.address,
        "labels": host.labels,
        "description": host.description,
        "protected": host.is_protected,
    }


@transaction.atomic
def save_host(request: HttpRequest, name: str, body: HostRequest) -> dict[str, Any]:
    present = Host.objects.select_for_update().filter(name=name).first()
    if body.protected or (present is not None and present.is_protected):
        permit(request, PROTECT)
    description = None if body.description is None else make_storable(body.description)
    saved = registered_hosts.register_host(
        name,
        address=body.address,
        labels=body.labels,
        description=description,
        is_protected=body.protected,
        only_new=body.only_new,
    )
    return describe_hosts([saved])[0]


@router.delete(
    "/hosts/{name}",
    response={204: None, **WRITE_REFUSALS, **ITEM_REFUSALS, 409: Problem},
    openapi_extra=CONDITIONAL,
)
@needs("scenarios.delete_host", also=need_protect_permission)
@decorate_view(run_once)
@decorate_view(VERSIONED.write)
@transaction.atomic
def delete_host(request: HttpRequest, name: str) -> Status[None]:
    """Delete the host. Refused while a run holds it."""
    host = find_host(name)
    if host.is_protected:
        permit(request, PROTECT)
    registered_hosts.delete_host(host)
    return Status(HTTPStatus.NO_CONTENT, None)


@router.post(
    "/hosts/{name}/test",
    response={200: CheckResults, **ITEM_REFUSALS},
    url_name="host_test",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.view_host")
@decorate_view(run_once)
def test_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Check whether the coordinator reaches the host, and what the host program says of it."""
    return describe_findings(check_host(find_host(name)))
