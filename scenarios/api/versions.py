"""The versions of a scenario, as its history has them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema

from scenarios.api.access import needs
from scenarios.api.description import ITEM_REFUSALS
from scenarios.api.names import find_scenario
from scenarios.api.paging import Filters, Order, build_page
from scenarios.api.problems import NotFoundError
from scenarios.library.versions import CHANGES, find_present_key

router = Router(tags=["scenarios"])
ORDER = Order(("history_id",), (int,), descending=True)
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]


class VersionInList(Schema):
    """`version` counts from 1, and a deletion is a version; `current`: it is the one that is stored now."""

    version: int
    at: datetime
    by: str | None
    current: bool
    change: Literal["created", "changed", "deleted"]


class StoredVersion(VersionInList):
    document: str


class VersionPage(Schema):
    items: list[VersionInList]
    next_cursor: str | None


@router.get(
    "/scenarios/{name}/versions", response={200: VersionPage, **ITEM_REFUSALS}, url_name="scenario_versions"
)
@needs("scenarios.view_scenario")
def list_versions(request: HttpRequest, name: str, filters: Query[Filters]) -> dict[str, Any]:
    """List the versions of the scenario, the newest first, without their documents."""
    scenario = find_scenario(name)
    rows = scenario.history.select_related("history_user")
    page = build_page(rows, ORDER, filters)
    found = page["items"]
    newest = rows.filter(history_id__lte=found[0].history_id).count() if found else 0
    present = find_present_key(scenario)
    page["items"] = [describe_version(row, newest - place, present) for place, row in enumerate(found)]
    return page


@router.get(
    "/scenarios/{name}/versions/{version}",
    response={200: StoredVersion, **ITEM_REFUSALS},
    url_name="scenario_version",
)
@needs("scenarios.view_scenario")
def get_version(request: HttpRequest, name: str, version: Path[Number]) -> dict[str, Any]:
    """Show a version of the scenario with its document."""
    scenario = find_scenario(name)
    rows = scenario.history.select_related("history_user").order_by("history_id")
    if not (found := list(rows[version - 1 : version])):
        raise NotFoundError(f"Scenario {name!r} has no version {version!r}.")
    return {**describe_version(found[0], version, find_present_key(scenario)), "document": found[0].document}


def describe_version(row: Any, version: int, present: int | None) -> dict[str, Any]:
    return {
        "version": version,
        "at": row.history_date,
        "by": row.history_user.get_username() if row.history_user else None,
        "current": row.history_id == present,
        "change": CHANGES[row.history_type],
    }
