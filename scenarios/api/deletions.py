"""How far a deletion is that takes longer than a request, and its withdrawal."""

from datetime import datetime

from django.http import HttpRequest
from ninja import Router, Schema
from ninja.decorators import decorate_view

from scenarios.api.access import needs
from scenarios.api.description import IDEMPOTENT, ITEM_REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import find_scenario
from scenarios.api.problems import NotFoundError
from scenarios.models import DeletionRequest
from scenarios.runs import deletion_requests
from scenarios.supervision.readiness import find_deletion_obstacle

router = Router(tags=["scenarios"])


class Deletion(Schema):
    """`total` runs belonged to the scenario; `left` still do. `waiting_for` says what keeps the deletion from
    going on, or is empty.
    """

    scenario: str
    requested_at: datetime
    requested_by: str
    total: int
    left: int
    waiting_for: str


@router.get(
    "/scenarios/{name}/deletion", response={200: Deletion, **ITEM_REFUSALS}, url_name="scenario_deletion"
)
@needs("scenarios.view_scenario")
def get_deletion(request: HttpRequest, name: str) -> Deletion:
    """Show how far the deletion of a scenario with many runs is; 404 once it is over, or without one."""
    scenario = find_scenario(name)
    found = DeletionRequest.objects.filter(scenario=scenario).first()
    if found is None:
        raise NotFoundError(f"Scenario {name!r} is not being deleted.")
    return _describe(name, found, waiting_for=find_deletion_obstacle(found))


@router.delete(
    "/scenarios/{name}/deletion", response={200: Deletion, **ITEM_REFUSALS}, openapi_extra=IDEMPOTENT
)
@needs("scenarios.delete_scenario")
@decorate_view(run_once)
def withdraw_deletion(request: HttpRequest, name: str) -> Deletion:
    """Keep a scenario that is being deleted; 404 if it is not. It can be run, scheduled and changed again.

    The response says how far the deletion was. Runs that no longer refer to the scenario stay so.
    """
    withdrawn = deletion_requests.withdraw_deletion(find_scenario(name))
    if withdrawn is None:
        raise NotFoundError(f"Scenario {name!r} is not being deleted.")
    return _describe(name, withdrawn)


def _describe(name: str, found: DeletionRequest, *, waiting_for: str = "") -> Deletion:
    return Deletion(
        scenario=name,
        requested_at=found.requested_at,
        requested_by=found.requested_by_name,
        total=found.total,
        left=found.left,
        waiting_for=waiting_for,
    )
