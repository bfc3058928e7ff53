"""Environments: addresses of services and values of variables that belong together, as those of staging."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status
from pydantic import JsonValue

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import REFUSALS
from scenarios.api.merge_patch import fill_defaults, patch_request
from scenarios.api.names import find_environment
from scenarios.api.paging import BY_NAME, NameFilters, build_page
from scenarios.api.preconditions import Versioned
from scenarios.api.protection import Protection
from scenarios.api.resources import Resource
from scenarios.domain.outputs import make_storable
from scenarios.library import environments
from scenarios.models import Environment

router = Router(tags=["environments"])
VERSIONED = Versioned(Environment, ("description", "services", "variables"))
ENVIRONMENT = Resource(router, "/environments/{name}", "environment", VERSIONED)
PROTECTION = Protection(Environment, "scenarios.protect_service")
DEFAULTS: dict[str, Any] = {"description": "", "services": {}, "variables": {}}
SERVICES = (
    "By name: `base_url`, and optionally `protected`, `proxy`, `proxy_listener`, `proxy_secret`, `tls` and "
    "`auth`, as those of a service."
)
VARIABLES = "Values for scenarios that declare such variables; those of a run come before them."


class EnvironmentInList(Schema):
    name: str
    description: str
    services: dict[str, dict[str, JsonValue]] = Field(description=SERVICES)
    variables: dict[str, JsonValue] = Field(description=VARIABLES)
    protected: bool = Field(description="Whether one of its services is protected.")


class EnvironmentPage(Schema):
    items: list[EnvironmentInList]
    next_cursor: str | None


class EnvironmentRequest(Body):
    """Fields that are missing or null keep their value."""

    description: str | None = None
    services: dict[str, dict[str, JsonValue]] | None = Field(None, description=SERVICES)
    variables: dict[str, JsonValue] | None = Field(None, description=VARIABLES)
    only_new: bool = Field(False, description="Refuse to change one that exists, with 409.")


@router.get("/environments", response={200: EnvironmentPage, **REFUSALS}, url_name="environments")
@needs("scenarios.view_environment")
def list_environments(request: HttpRequest, filters: Query[NameFilters]) -> dict[str, Any]:
    """List the environments by name."""
    rows = filters.select(Environment.objects.all())
    return build_page(rows, BY_NAME, filters, describe_environment)


@ENVIRONMENT.get(EnvironmentInList, needs("scenarios.view_environment"))
def get_environment(request: HttpRequest, name: str) -> dict[str, Any]:
    """Show the environment."""
    return describe_environment(find_environment(name))


@ENVIRONMENT.put(
    EnvironmentInList,
    needs(
        "scenarios.add_environment",
        "scenarios.change_environment",
        also=PROTECTION.list_needed_permissions,
    ),
    may_conflict=True,
)
def put_environment(request: HttpRequest, name: str, body: EnvironmentRequest) -> dict[str, Any]:
    """Create or change the environment.

    To protect a service there, to change an environment with protected services, and to use the address of
    a protected service, the caller needs the permission `protect_service`.
    """
    return save_environment(request, name, body)


@ENVIRONMENT.patch(
    EnvironmentInList,
    needs("scenarios.change_environment", also=PROTECTION.list_needed_permissions),
    body="EnvironmentPatch",
)
def patch_environment(request: HttpRequest, name: str) -> dict[str, Any]:
    """Change some fields of the environment, by JSON merge patch; services and variables are merged."""
    patched = patch_request(request, EnvironmentRequest, list_writable_fields(find_environment(name)))
    return save_environment(request, name, fill_defaults(patched, DEFAULTS))


@ENVIRONMENT.delete(
    needs("scenarios.delete_environment", also=PROTECTION.list_needed_permissions), may_conflict=True
)
@transaction.atomic
def delete_environment(request: HttpRequest, name: str) -> Status[None]:
    """Delete the environment. Refused while a run holds a service there."""
    environment = find_environment(name)
    PROTECTION.permit_deletion(request, environment)
    environments.delete_environment(environment)
    return Status(HTTPStatus.NO_CONTENT, None)


@transaction.atomic
def save_environment(request: HttpRequest, name: str, body: EnvironmentRequest) -> dict[str, Any]:
    protects = any(words.get("protected") for words in (body.services or {}).values())
    PROTECTION.lock_for_change(request, name, protects=protects)
    fields = make_storable(body.model_dump(exclude={"only_new"}))
    saved = environments.put_environment(name, fields, by=get_caller(request).user, only_new=body.only_new)
    if not PROTECTION.may_change(request):
        environments.check_addresses(saved)
    return describe_environment(saved)


def describe_environment(row: Environment) -> dict[str, Any]:
    """As in EnvironmentInList."""
    return {"name": row.name, **list_writable_fields(row), "protected": row.is_protected}


def list_writable_fields(environment: Environment) -> Mapping[str, Any]:
    """The body of a PUT that changes nothing."""
    return {
        "description": environment.description,
        "services": environment.list_services(),
        "variables": environment.variables,
    }
