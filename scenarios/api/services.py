"""The services that scenarios act on."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema

from scenarios import overview
from scenarios.api.access import permit
from scenarios.api.description import REFUSALS
from scenarios.api.paging import Filters, Order, Words, name_in_cursor, page_of
from scenarios.models import Service

router = Router(tags=["services"])
ORDER = Order(("name",), (name_in_cursor,))


class ServiceInList(Schema):
    """`held_by` is the run that has it for itself; `touched_by` are scenarios."""

    name: str
    base_url: str
    description: str
    held_by: UUID | None
    touched_by: list[str]


class ServicePage(Schema):
    items: list[ServiceInList]
    next_cursor: str | None


class ServiceFilters(Filters):
    """`name` is a part of it."""

    name: Words | None = None


@router.get("/services", response={200: ServicePage, **REFUSALS}, url_name="services")
def list_services(request: HttpRequest, filters: Query[ServiceFilters]) -> dict[str, Any]:
    """The registered services by name: who holds them, and which scenarios touch them."""
    permit(request, "scenarios.view_service")
    rows = Service.objects.all()
    if filters.name:
        rows = rows.filter(name__contains=filters.name)
    page = page_of(rows, ORDER, filters)
    held, touching = overview.holders(), overview.scenarios_by_service()
    page["items"] = [
        {
            "name": row.name,
            "base_url": row.base_url,
            "description": row.description,
            "held_by": held[row.name].pk if row.name in held else None,
            "touched_by": [name for _key, name in touching.get(row.name, [])],
        }
        for row in page["items"]
    ]
    return page
