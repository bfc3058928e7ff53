"""The allow lists of the site: what steps may do on this machine, and where they may connect to."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import REFUSALS
from scenarios.api.names import find_allow_list
from scenarios.api.paging import BY_NAME, NameFilters, build_page
from scenarios.api.preconditions import Versioned
from scenarios.api.resources import Resource
from scenarios.domain.allow_lists import MAX_ENTRIES, MAX_ENTRY_LENGTH, ListName
from scenarios.library import allow_lists
from scenarios.models import AllowList

router = Router(tags=["allow lists"])
VERSIONED = Versioned(AllowList, ("entries",))
ALLOW_LIST = Resource(router, "/allow-lists/{name}", "allow_list", VERSIONED)


class AllowListInList(Schema):
    """`allowed` is what steps may use now: `entries`, or, while they are null, all of `bound`."""

    name: str
    setting: str = Field(
        description="The environment's setting, which only the owner of the machine changes."
    )
    bound: list[str] = Field(description="What the setting allows.")
    entries: list[str] | None = Field(description="What the list is narrowed to.")
    allowed: list[str]
    changed_at: datetime | None
    changed_by: str


class AllowListPage(Schema):
    items: list[AllowListInList]
    next_cursor: str | None


class AllowListRequest(Body):
    entries: list[str] | None = Field(
        description=(
            f"At most {MAX_ENTRIES}, each of at most {MAX_ENTRY_LENGTH} characters, within the setting; null "
            "for all that the setting allows."
        )
    )


@router.get("/allow-lists", response={200: AllowListPage, **REFUSALS}, url_name="allow_lists")
@needs("scenarios.view_allowlist")
def list_allow_lists(request: HttpRequest, filters: Query[NameFilters]) -> dict[str, Any]:
    """List the allow lists by name."""
    return build_page(filters.select(AllowList.objects.all()), BY_NAME, filters, describe_allow_list)


@ALLOW_LIST.get(AllowListInList, needs("scenarios.view_allowlist"))
def get_allow_list(request: HttpRequest, name: str) -> Mapping[str, Any]:
    """Show the allow list."""
    return describe_allow_list(find_allow_list(name))


@ALLOW_LIST.put(AllowListInList, needs("scenarios.change_allowlist"), creates=False)
def put_allow_list(request: HttpRequest, name: str, body: AllowListRequest) -> Mapping[str, Any]:
    """Narrow the allow list within its setting, from now on.

    A running run refuses within a second what it has not injected yet. Undos of injected faults are not
    refused.
    """
    found = find_allow_list(name)
    who = get_caller(request).user.get_username()
    return describe_allow_list(allow_lists.replace_entries(ListName(found.name), body.entries, by=who))


def describe_allow_list(row: AllowList) -> Mapping[str, Any]:
    """As in AllowListInList."""
    return asdict(allow_lists.describe(row))
