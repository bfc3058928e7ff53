"""The services that scenarios act on."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status
from pydantic import JsonValue

from scenarios.api.access import needs
from scenarios.api.bodies import Body
from scenarios.api.check_results import CheckResults, describe_findings
from scenarios.api.description import REFUSALS
from scenarios.api.merge_patch import fill_defaults, patch_request
from scenarios.api.names import find_service
from scenarios.api.paging import BY_NAME, NameFilters, build_page
from scenarios.api.patterns import ONE_LINE, URL_PATH, WITHOUT_NUL
from scenarios.api.preconditions import Versioned
from scenarios.api.protection import Protection
from scenarios.api.resources import Resource
from scenarios.control_room import home_queries
from scenarios.domain.outputs import make_storable
from scenarios.library import services as registered_services
from scenarios.library.service_checks import check_service
from scenarios.models import DEFAULT_HEALTH_PATH, Service

router = Router(tags=["services"])
VERSIONED = Versioned(
    Service,
    (
        "base_url",
        "description",
        "is_protected",
        "health_path",
        "health_status",
        "proxy",
        "proxy_listener",
        "proxy_secret",
        "tls",
        "auth",
    ),
)
SERVICE = Resource(router, "/services/{name}", "service", VERSIONED)
PROTECTION = Protection(Service, "scenarios.protect_service")
ANY_SUCCESS = 0  # as a health status: any from 200 to 299
DEFAULTS = {
    "description": "",
    "protected": False,
    "health_path": DEFAULT_HEALTH_PATH,
    "health_status": ANY_SUCCESS,
    "proxy": "",
    "proxy_listener": "",
    "proxy_secret": "",
    "tls": {},
    "auth": {},
}


class ServiceInList(Schema):
    """`held_by` is the run that holds the service."""

    name: str
    base_url: str
    description: str
    health_path: str
    health_status: int | None = Field(
        description="The status of a healthy service; null means any from 200 to 299."
    )
    protected: bool = Field(description="Whether runs that touch it need the approval of a second person.")
    proxy: str = Field(description="The control API of the fault proxy in front of it; empty if it has none.")
    proxy_listener: str = Field(description="The proxy's listener for it; empty means its only one.")
    proxy_secret: str = Field(description="The name of the secret with the proxy's token.")
    tls: dict[str, JsonValue] = Field(description="For steps without `tls` of their own; may be empty.")
    auth: dict[str, JsonValue] = Field(
        description="For steps without `auth` of their own, with references to secrets; may be empty."
    )
    held_by: UUID | None
    touched_by: list[str] = Field(description="The scenarios that act on it, by the defaults of variables.")
    probed_by: list[str] = Field(description="The scenarios that only look at it.")


class ServicePage(Schema):
    items: list[ServiceInList]
    next_cursor: str | None


class ServiceRequest(Body):
    """Fields that are missing or null keep their value. A new service is not protected."""

    base_url: str = Field(
        min_length=1,
        max_length=500,
        pattern=WITHOUT_NUL,
        description=(
            "For example http://127.0.0.1:9101, to which the paths of steps are appended; or tcp://, "
            "postgres://, redis:// or grpc:// with host and port."
        ),
    )
    description: str | None = None
    protected: bool | None = None
    health_path: str | None = Field(None, max_length=200, pattern=URL_PATH)
    health_status: int | None = Field(
        None, ge=0, le=599, description="The status of a healthy service; 0 resets it to any from 200 to 299."
    )
    proxy: str | None = Field(
        None,
        max_length=500,
        pattern=ONE_LINE,
        description="The control API of its fault proxy; empty removes the proxy and its listener.",
    )
    proxy_listener: str | None = Field(
        None,
        max_length=300,
        pattern=ONE_LINE,
        description="HOST:PORT, or empty for the proxy's only listener.",
    )
    proxy_secret: str | None = Field(None, max_length=63, pattern=ONE_LINE)
    tls: dict[str, JsonValue] | None = Field(
        None, description="As `tls` of a step, for steps that have none; an empty object removes it."
    )
    auth: dict[str, JsonValue] | None = Field(
        None,
        description=(
            "As `auth` of a step, for steps that have none; an empty object removes it. The names of its "
            "secrets begin with SERVICE."
        ),
    )
    only_new: bool = Field(False, description="Refuse to change a registered service, with 409.")


@router.get("/services", response={200: ServicePage, **REFUSALS}, url_name="services")
@needs("scenarios.view_service")
def list_services(request: HttpRequest, filters: Query[NameFilters]) -> dict[str, Any]:
    """List the services by name, with the runs that hold them and the scenarios that touch them."""
    page = build_page(filters.select(Service.objects.all()), BY_NAME, filters)
    return {**page, "items": describe_services(page["items"])}


@SERVICE.get(ServiceInList, needs("scenarios.view_service"))
def get_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """Show the service, with the run that holds it and the scenarios that touch it."""
    return describe_services([find_service(name)])[0]


@SERVICE.put(
    ServiceInList,
    needs("scenarios.add_service", "scenarios.change_service", also=PROTECTION.list_needed_permissions),
    may_conflict=True,
)
def put_service(request: HttpRequest, name: str, body: ServiceRequest) -> dict[str, Any]:
    """Register or change the service.

    To protect it, to change a protected one, and to register one at the address of a protected one, the
    caller needs the permission `protect_service`.
    """
    return save_service(request, name, body)


@SERVICE.patch(
    ServiceInList,
    needs("scenarios.change_service", also=PROTECTION.list_needed_permissions),
    body="ServicePatch",
)
def patch_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """Change some fields of the service, by JSON merge patch. The permissions are those of PUT."""
    patched = patch_request(request, ServiceRequest, list_writable_fields(find_service(name)))
    if not patched.proxy:
        patched.proxy_listener = None
    return save_service(request, name, fill_defaults(patched, DEFAULTS))


@SERVICE.delete(needs("scenarios.delete_service", also=PROTECTION.list_needed_permissions), may_conflict=True)
@transaction.atomic
def delete_service(request: HttpRequest, name: str) -> Status[None]:
    """Delete the service and its chart queries. Refused while a run holds it."""
    service = find_service(name)
    PROTECTION.permit_deletion(request, service)
    registered_services.delete_service(service)
    return Status(HTTPStatus.NO_CONTENT, None)


@SERVICE.act("test", CheckResults, needs("scenarios.view_service"), url_name="service_test")
def test_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """Check the service's address, its health and its fault proxy, from the coordinator."""
    return describe_findings(check_service(find_service(name)))


@transaction.atomic
def save_service(request: HttpRequest, name: str, body: ServiceRequest) -> dict[str, Any]:
    PROTECTION.lock_for_change(request, name, protects=body.protected)
    if not PROTECTION.may_change(request):
        registered_services.check_address(Service(name=name, base_url=body.base_url))
    changes = body.model_dump(exclude={"base_url", "description", "protected", "only_new"})
    saved = registered_services.register_service(
        name,
        body.base_url,
        None if body.description is None else make_storable(body.description),
        is_protected=body.protected,
        only_new=body.only_new,
        **changes,
    )
    return describe_services([saved])[0]


def describe_services(rows: Sequence[Service]) -> list[dict[str, Any]]:
    """As in ServiceInList, with one query for the runs that hold them and one for the scenarios."""
    held, uses = home_queries.find_holders(), home_queries.list_uses(row.name for row in rows)
    unused = home_queries.NamedIn()
    return [
        {
            "name": row.name,
            **list_writable_fields(row),
            "health_status": row.health_status,
            "held_by": held[row.name].pk if row.name in held else None,
            "touched_by": list(uses.get(row.name, unused).touching),
            "probed_by": list(uses.get(row.name, unused).probing),
        }
        for row in rows
    ]


def list_writable_fields(service: Service) -> Mapping[str, Any]:
    """The body of a PUT that changes nothing."""
    return {
        "base_url": service.base_url,
        "description": service.description,
        "protected": service.is_protected,
        "health_path": service.health_path,
        "health_status": service.health_status or ANY_SUCCESS,
        "proxy": service.proxy,
        "proxy_listener": service.proxy_listener,
        "proxy_secret": service.proxy_secret,
        "tls": service.tls or {},
        "auth": service.auth or {},
    }
