"""The machines that scenarios inject faults on."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status
from pydantic import StringConstraints

from scenarios.api.access import needs
from scenarios.api.bodies import Body
from scenarios.api.check_results import CheckResults, describe_findings
from scenarios.api.description import REFUSALS
from scenarios.api.merge_patch import fill_defaults, patch_request
from scenarios.api.names import find_host
from scenarios.api.paging import BY_NAME, NameFilters, build_page
from scenarios.api.patterns import ONE_LINE
from scenarios.api.preconditions import Versioned
from scenarios.api.protection import Protection
from scenarios.api.resources import Resource
from scenarios.control_room import home_queries
from scenarios.domain.outputs import make_storable
from scenarios.drivers.hosts import format_target
from scenarios.library import hosts as registered_hosts
from scenarios.library.host_checks import check_host
from scenarios.models import Host
from scenarios.models.hosts import MAX_LABEL_LENGTH, MAX_LABELS

router = Router(tags=["hosts"])
VERSIONED = Versioned(Host, ("address", "labels", "description", "is_protected"))
HOST = Resource(router, "/hosts/{name}", "host", VERSIONED)
PROTECTION = Protection(Host, "scenarios.protect_host")
DEFAULTS = {"address": "", "labels": {}, "description": "", "protected": False}
Word = Annotated[str, StringConstraints(pattern=ONE_LINE, max_length=MAX_LABEL_LENGTH)]


class HostInList(Schema):
    """`held_by` is the run that holds the host."""

    name: str
    address: str = Field(description="Where SSH reaches it; empty for the worker's own machine.")
    labels: dict[str, str]
    description: str
    protected: bool = Field(description="Whether runs that touch it need the approval of a second person.")
    held_by: UUID | None


class HostPage(Schema):
    items: list[HostInList]
    next_cursor: str | None


class HostRequest(Body):
    """Fields that are missing or null keep their value. A new host is not protected."""

    address: str | None = Field(
        None,
        max_length=500,
        pattern=ONE_LINE,
        description="USER@HOST or USER@HOST:PORT; empty for the worker's own machine.",
    )
    labels: dict[Word, Word] | None = Field(
        None, max_length=MAX_LABELS, description="Replaces all labels; scenarios select hosts by them."
    )
    description: str | None = None
    protected: bool | None = None
    only_new: bool = Field(False, description="Refuse to change a registered host, with 409.")


@router.get("/hosts", response={200: HostPage, **REFUSALS}, url_name="hosts")
@needs("scenarios.view_host")
def list_hosts(request: HttpRequest, filters: Query[NameFilters]) -> dict[str, Any]:
    """List the hosts by name, with the runs that hold them."""
    page = build_page(filters.select(Host.objects.all()), BY_NAME, filters)
    return {**page, "items": describe_hosts(page["items"])}


@HOST.get(HostInList, needs("scenarios.view_host"))
def get_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Show the host, with the run that holds it."""
    return describe_hosts([find_host(name)])[0]


@HOST.put(
    HostInList,
    needs("scenarios.add_host", "scenarios.change_host", also=PROTECTION.list_needed_permissions),
    may_conflict=True,
)
def put_host(request: HttpRequest, name: str, body: HostRequest) -> dict[str, Any]:
    """Register or change the host.

    To protect it, to change a protected one, and to register one at the address of a protected one, the
    caller needs the permission `protect_host`.
    """
    return save_host(request, name, body)


@HOST.patch(
    HostInList, needs("scenarios.change_host", also=PROTECTION.list_needed_permissions), body="HostPatch"
)
def patch_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Change some fields of the host, by JSON merge patch; labels are merged."""
    patched = patch_request(request, HostRequest, list_writable_fields(find_host(name)))
    return save_host(request, name, fill_defaults(patched, DEFAULTS))


@HOST.delete(needs("scenarios.delete_host", also=PROTECTION.list_needed_permissions), may_conflict=True)
@transaction.atomic
def delete_host(request: HttpRequest, name: str) -> Status[None]:
    """Delete the host. Refused while a run holds it."""
    host = find_host(name)
    PROTECTION.permit_deletion(request, host)
    registered_hosts.delete_host(host)
    return Status(HTTPStatus.NO_CONTENT, None)


@HOST.act("test", CheckResults, needs("scenarios.view_host"), url_name="host_test")
def test_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Check whether the coordinator reaches the host, and what the host program says of it."""
    return describe_findings(check_host(find_host(name)))


@transaction.atomic
def save_host(request: HttpRequest, name: str, body: HostRequest) -> dict[str, Any]:
    present = PROTECTION.lock_for_change(request, name, protects=body.protected)
    if (body.address is not None or present is None) and not PROTECTION.may_change(request):
        registered_hosts.check_address(Host(name=name, address=body.address or ""))
    saved = registered_hosts.register_host(
        name,
        address=body.address,
        labels=body.labels,
        description=None if body.description is None else make_storable(body.description),
        is_protected=body.protected,
        only_new=body.only_new,
    )
    return describe_hosts([saved])[0]


def describe_hosts(rows: Sequence[Host]) -> list[dict[str, Any]]:
    """As in HostInList, with one query for the runs that hold them."""
    held = home_queries.find_holders()
    holders = [held.get(format_target(row.name)) for row in rows]
    return [
        {"name": row.name, **list_writable_fields(row), "held_by": holder.pk if holder else None}
        for row, holder in zip(rows, holders, strict=True)
    ]


def list_writable_fields(host: Host) -> Mapping[str, Any]:
    """The body of a PUT that changes nothing."""
    return {
        "address": host.address,
        "labels": host.labels,
        "description": host.description,
        "protected": host.is_protected,
    }
