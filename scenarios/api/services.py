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
from scenarios.api.names import check_name, find_service, is_label
from scenarios.api.paging import Filters, Order, Text, build_page, parse_cursor_name
from scenarios.api.patterns import ONE_LINE, URL_PATH, WITHOUT_NUL
from scenarios.api.preconditions import READ, Versioned
from scenarios.api.problems import Problem
from scenarios.control_room import home_queries
from scenarios.domain.outputs import make_storable
from scenarios.library import services as registered_services
from scenarios.library.findings import Finding
from scenarios.library.service_checks import check_service
from scenarios.models import DEFAULT_HEALTH_PATH, Service

router = Router(tags=["services"])
ORDER = Order(("name",), (parse_cursor_name,))
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
    ),
)
PROTECT = "scenarios.protect_service"
ANY_SUCCESS = 0  # as a health status: any from 200 to 299
DEFAULTS = {
    "description": "",
    "protected": False,
    "health_path": DEFAULT_HEALTH_PATH,
    "health_status": ANY_SUCCESS,
    "proxy": "",
    "proxy_listener": "",
    "proxy_secret": "",
}


class ServiceInList(Schema):
    """`held_by` is the run that holds the service; `touched_by` lists the scenarios that touch it."""

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
    held_by: UUID | None
    touched_by: list[str]


class ServicePage(Schema):
    items: list[ServiceInList]
    next_cursor: str | None


class ServiceFilters(Filters):
    """`name` matches a part of the name."""

    name: Text | None = None


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
    only_new: bool = Field(False, description="Refuse to change a registered service, with 409.")


class CheckResult(Schema):
    """One part of a check; `sentence` says how it is."""

    subject: str
    ok: bool
    sentence: str


class CheckResults(Schema):
    ok: bool = Field(description="Whether nothing is wrong.")
    checks: list[CheckResult]


@router.get("/services", response={200: ServicePage, **REFUSALS}, url_name="services")
@needs("scenarios.view_service")
def list_services(request: HttpRequest, filters: Query[ServiceFilters]) -> dict[str, Any]:
    """List the services by name, with the runs that hold them and the scenarios that touch them."""
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
            "proxy": row.proxy,
            "proxy_listener": row.proxy_listener,
            "proxy_secret": row.proxy_secret,
            "held_by": held[row.name].pk if row.name in held else None,
            "touched_by": touching.get(row.name, []),
        }
        for row in rows
    ]


@router.get(
    "/services/{name}",
    response={200: ServiceInList, **ITEM_REFUSALS},
    url_name="service",
    openapi_extra=READ,
)
@needs("scenarios.view_service")
@decorate_view(VERSIONED.read)
def get_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """Show the service, with the run that holds it and the scenarios that touch it."""
    return describe_services([find_service(name)])[0]


def need_protect_permission(name: str, **_named: str) -> list[str]:
    """Moving or deleting a protected service would remove its protection."""
    is_protected = is_label(name) and Service.objects.filter(name=name, is_protected=True).exists()
    return [PROTECT] if is_protected else []


@router.put(
    "/services/{name}",
    response={
        200: ServiceInList,
        201: ServiceInList,
        **WRITE_REFUSALS,
        **REFUSALS,
        **BODY_REFUSALS,
        409: Problem,
    },
    openapi_extra=CONDITIONAL,
)
@needs("scenarios.add_service", "scenarios.change_service", also=need_protect_permission)
@decorate_view(run_once)
@decorate_view(VERSIONED.write)
def put_service(request: HttpRequest, name: str, body: ServiceRequest) -> dict[str, Any]:
    """Register or change the service.

    To protect it, to change a protected one, and to register one at the address of a protected one, the
    caller needs the permission `protect_service`.
    """
    if not permit(request).may(PROTECT):
        registered_services.check_address(Service(name=name, base_url=body.base_url))
    return save_service(request, name, body)


@router.patch(
    "/services/{name}",
    response={200: ServiceInList, **WRITE_REFUSALS, **ITEM_REFUSALS, **BODY_REFUSALS},
    openapi_extra={**CONDITIONAL, **describe_patch("ServicePatch")},
)
@needs("scenarios.change_service", also=need_protect_permission)
@decorate_view(run_once)
@decorate_view(VERSIONED.write)
def patch_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """Change some fields of the service, by JSON merge patch. The permissions are those of PUT."""
    service = find_service(name)
    patched = patch_request(request, ServiceRequest, list_writable(service))
    if not permit(request).may(PROTECT):
        registered_services.check_address(Service(name=name, base_url=patched.base_url))
    return save_service(request, name, fill_defaults(patched))


def list_writable(service: Service) -> dict[str, Any]:
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
    }


def fill_defaults(body: ServiceRequest) -> ServiceRequest:
    """A PUT keeps what is missing; a patch has removed it."""
    fields = {name: value for name, value in body.model_dump().items() if value is not None}
    without_proxy = {} if fields.get("proxy") else {"proxy_listener": ""}
    return ServiceRequest.model_validate({**DEFAULTS, **fields, **without_proxy})


@transaction.atomic
def save_service(request: HttpRequest, name: str, body: ServiceRequest) -> dict[str, Any]:
    present = Service.objects.select_for_update().filter(name=check_name(name)).first()
    if body.protected or (present is not None and present.is_protected):
        permit(request, PROTECT)
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


@router.post(
    "/services/{name}/test",
    response={200: CheckResults, **ITEM_REFUSALS},
    url_name="service_test",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.view_service")
@decorate_view(run_once)
def test_service(request: HttpRequest, name: str) -> dict[str, Any]:
    """Check the service's address, its health and its fault proxy, from the coordinator."""
    return describe_findings(check_service(find_service(name)))


def describe_findings(findings: Sequence[Finding]) -> dict[str, Any]:
    checks = [
        {"subject": finding.subject, "ok": finding.is_well, "sentence": finding.sentence}
        for finding in findings
    ]
    return {"ok": all(finding.is_well for finding in findings), "checks": checks}


@router.delete(
    "/services/{name}",
    response={204: None, **WRITE_REFUSALS, **ITEM_REFUSALS, 409: Problem},
    openapi_extra=CONDITIONAL,
)
@needs("scenarios.delete_service", also=need_protect_permission)
@decorate_view(run_once)
@decorate_view(VERSIONED.write)
@transaction.atomic
def delete_service(request: HttpRequest, name: str) -> Status[None]:
    """Delete the service and its chart queries. Refused while a run holds it."""
    service = find_service(name)
    if service.is_protected:
        permit(request, PROTECT)
    registered_services.delete_service(service)
    return Status(HTTPStatus.NO_CONTENT, None)
