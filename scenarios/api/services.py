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
from scenarios.api.description import OF_A_BODY, OF_ONE, REFUSALS, WRITES_ONCE
from scenarios.api.idempotency import carried_out_once
from scenarios.api.names import is_label, new_name, service_named
from scenarios.api.paging import Filters, Order, Words, name_in_cursor, page_of
from scenarios.api.problems import Problem
from scenarios.control_room import home_queries
from scenarios.domain.outputs import make_storable
from scenarios.library import services as registered_services
from scenarios.models import Service

router = Router(tags=["services"])
ORDER = Order(("name",), (name_in_cursor,))
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

    name: Words | None = None


class NewService(Body):
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
    page = page_of(rows, ORDER, filters)
    return {**page, "items": told(page["items"])}


def told(rows: Sequence[Service]) -> list[dict[str, Any]]:
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


@router.get("/services/{name}", response={200: ServiceInList, **OF_ONE}, url_name="service")
@needs("scenarios.view_service")
def get_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """The service: who holds it, and which scenarios touch it."""
    return told([service_named(name)])[0]


def needed_by_service(name: str, **_named: str) -> list[str]:
    """Whoever could move or delete a protected service could as well take its protection away."""
    is_protected = is_label(name) and Service.objects.filter(name=name, is_protected=True).exists()
    return [PROTECT] if is_protected else []


@router.put(
    "/services/{name}", response={200: ServiceInList, **REFUSALS, **OF_A_BODY}, openapi_extra=WRITES_ONCE
)
@needs("scenarios.add_service", "scenarios.change_service", also=needed_by_service)
@decorate_view(carried_out_once)
def put_service(request: HttpRequest, name: str, wish: NewService) -> dict[str, Any]:
    """Register the service, or change it. Of a protected one, to protect one, and to register one at the
    address of a protected one, it needs the permission.
    """
    if not permit(request).may(PROTECT):
        registered_services.check_address(Service(name=name, base_url=wish.base_url))
    return put(request, name, wish)


@transaction.atomic
def put(request: HttpRequest, name: str, wish: NewService) -> dict[str, Any]:
    present = Service.objects.select_for_update().filter(name=new_name(name)).first()
    # Whoever could move a protected service could as well take its protection away.
    if wish.protected or (present is not None and present.is_protected):
        permit(request, PROTECT)
    description = None if wish.description is None else make_storable(wish.description)
    saved = registered_services.register_service(
        name, wish.base_url, description, is_protected=wish.protected
    )
    if wish.health_path is not None or wish.health_status is not None:
        saved.health_path = saved.health_path if wish.health_path is None else wish.health_path
        if wish.health_status is not None:
            saved.health_status = wish.health_status or None
        registered_services.save_service(saved)
    return told([saved])[0]


@router.delete("/services/{name}", response={204: None, **OF_ONE, 409: Problem}, openapi_extra=WRITES_ONCE)
@needs("scenarios.delete_service", also=needed_by_service)
@decorate_view(carried_out_once)
@transaction.atomic
def delete_service(request: HttpRequest, name: str) -> Status[None]:
    """Delete the service with its queries for charts. Refused while a run has it for itself."""
    service = service_named(name)
    if service.is_protected:
        permit(request, PROTECT)
    registered_services.delete_service(service)
    return Status(HTTPStatus.NO_CONTENT, None)
