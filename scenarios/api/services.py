"""The services that scenarios act on."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status
from ninja.decorators import decorate_view

from scenarios.api.access import needs, permit
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, ITEM_REFUSALS, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import check_name, find_service, is_label
from scenarios.api.paging import Filters, Order, Text, build_page, parse_cursor_name
from scenarios.api.problems import Problem
from scenarios.control_room import home_queries
from scenarios.domain.outputs import make_storable
from scenarios.library import services as registered_services
from scenarios.models import Service

router = Router(tags=["services"])
ORDER = Order(("name",), (parse_cursor_name,))
PROTECT = "scenarios.protect_service"


class ServiceInList(Schema):
    """`held_by` is the run that has it for itself; `touched_by` are scenarios."""

    name: str
    base_url: str
    description: str
    health_path: str
    health_status: int | None = Field(description="Null: anything from 200 to 299 is well.")
    protected: bool = Field(description="A run that acts on it needs the approval of a second person.")
    held_by: UUID | None
    touched_by: list[str]


class ServicePage(Schema):
    items: list[ServiceInList]
    next_cursor: str | None


class ServiceFilters(Filters):
    """`name` is a part of it."""

    name: Text | None = None


class ServiceRequest(Body):
    """What is left out, or null, stays as it is; a new one is not protected."""

    base_url: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*$",
        description="As http://127.0.0.1:9101: paths of steps are appended.",
    )
    description: str | None = None
    protected: bool | None = None
    health_path: str | None = Field(None, max_length=200, pattern=r"^/([!-.0-~][!-~]*)?$")
    health_status: int | None = Field(
        None, ge=0, le=599, description="0: anything from 200 to 299 is well again."
    )


@router.get("/services", response={200: ServicePage, **REFUSALS}, url_name="services")
@needs("scenarios.view_service")
def list_services(request: HttpRequest, filters: Query[ServiceFilters]) -> dict[str, Any]:
    """The registered services by name: who holds them, and which scenarios touch them."""
    rows = Service.objects.all()
    if filters.name:
        rows = rows.filter(name__contains=filters.name)
    page = build_page(rows, ORDER, filters)
    return {**page, "items": describe_services(page["items"])}


def describe_services(rows: Sequence[Service]) -> list[dict[str, Any]]:
    held, touching = home_queries.find_holders(), home_queries.scenarios_by_service(row.name for row in rows)
    return [
        {
            "name": row.name,
            "base_url": row.base_url,
            "description": row.description,
            "health_path": row.health_path,
            "health_status": row.health_status,
            "protected": row.is_protected,
            "held_by": held[row.name].pk if row.name in held else None,
            "touched_by": touching.get(row.name, []),
        }
        for row in rows
    ]


@router.get("/services/{name}", response={200: ServiceInList, **ITEM_REFUSALS}, url_name="service")
@needs("scenarios.view_service")
def get_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """The service: who holds it, and which scenarios touch it."""
    return describe_services([find_service(name)])[0]


def need_protect_permission(name: str, **_named: str) -> list[str]:
    """Whoever could move or delete a protected service could as well take its protection away."""
    is_protected = is_label(name) and Service.objects.filter(name=name, is_protected=True).exists()
    return [PROTECT] if is_protected else []


@router.put(
    "/services/{name}", response={200: ServiceInList, **REFUSALS, **BODY_REFUSALS}, openapi_extra=IDEMPOTENT
)
@needs("scenarios.add_service", "scenarios.change_service", also=need_protect_permission)
@decorate_view(run_once)
def put_service(request: HttpRequest, name: str, body: ServiceRequest) -> dict[str, Any]:
    """Register the service, or change it. Of a protected one, to protect one, and to register one at the
    address of a protected one, it needs the permission.
    """
    if not permit(request).may(PROTECT):
        registered_services.check_address(Service(name=name, base_url=body.base_url))
    return save_service(request, name, body)


@transaction.atomic
def save_service(request: HttpRequest, name: str, body: ServiceRequest) -> dict[str, Any]:
    present = Service.objects.select_for_update().filter(name=check_name(name)).first()
    # Whoever could move a protected service could as well take its protection away.
    if body.protected or (present is not None and present.is_protected):
        permit(request, PROTECT)
    description = None if body.description is None else make_storable(body.description)
    saved = registered_services.register_service(
        name, body.base_url, description, is_protected=body.protected
    )
    if body.health_path is not None or body.health_status is not None:
        saved.health_path = saved.health_path if body.health_path is None else body.health_path
        if body.health_status is not None:
            saved.health_status = body.health_status or None
        registered_services.save_service(saved)
    return describe_services([saved])[0]


@router.delete(
    "/services/{name}", response={204: None, **ITEM_REFUSALS, 409: Problem}, openapi_extra=IDEMPOTENT
)
@needs("scenarios.delete_service", also=need_protect_permission)
@decorate_view(run_once)
@transaction.atomic
def delete_service(request: HttpRequest, name: str) -> Status[None]:
    """Delete the service with its queries for charts. Refused while a run has it for itself."""
    service = find_service(name)
    if service.is_protected:
        permit(request, PROTECT)
    registered_services.delete_service(service)
    return Status(HTTPStatus.NO_CONTENT, None)
