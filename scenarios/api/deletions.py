"""How far deletions are that take longer than a request, and their withdrawal."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Path, Router, Schema
from ninja.decorators import decorate_view

from scenarios.api.access import needs
from scenarios.api.description import IDEMPOTENT, ITEM_REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.api.names import RowId, find_scenario, find_schedule, find_webhook
from scenarios.api.problems import NotFoundError
from scenarios.models import DeletionRequest
from scenarios.runs import deletion_requests
from scenarios.runs.deletion_requests import Owner
from scenarios.supervision.readiness import find_deletion_obstacle

router = Router()


class Deletion(Schema):
    """`total` rows referred to what is deleted, such as runs; `left` still do. `waiting_for` says what keeps
    the deletion from going on, or is empty.
    """

    kind: str
    name: str
    requested_at: datetime
    requested_by: str
    total: int
    left: int
    waiting_for: str


SHOWN: dict[int, Any] = {200: Deletion, **ITEM_REFUSALS}


@router.get("/scenarios/{name}/deletion", response=SHOWN, url_name="scenario_deletion", tags=["scenarios"])
@needs("scenarios.view_scenario")
def get_deletion(request: HttpRequest, name: str) -> Deletion:
    """Show how far the deletion of a scenario with many runs is; 404 once it is over, or without one."""
    return _show(find_scenario(name))


@router.delete("/scenarios/{name}/deletion", response=SHOWN, openapi_extra=IDEMPOTENT, tags=["scenarios"])
@needs("scenarios.delete_scenario")
@decorate_view(run_once)
def withdraw_deletion(request: HttpRequest, name: str) -> Deletion:
    """Keep a scenario that is being deleted; 404 if it is not. It can be run, scheduled and changed again.

    The response says how far the deletion was. Runs that no longer refer to the scenario stay so.
    """
    return _withdraw(find_scenario(name))


@router.get("/schedules/{name}/deletion", response=SHOWN, url_name="schedule_deletion", tags=["schedules"])
@needs("scenarios.view_schedule")
def get_schedule_deletion(request: HttpRequest, name: str) -> Deletion:
    """Show how far the deletion of a schedule with many runs and due times is."""
    return _show(find_schedule(name))


@router.delete("/schedules/{name}/deletion", response=SHOWN, openapi_extra=IDEMPOTENT, tags=["schedules"])
@needs("scenarios.delete_schedule")
@decorate_view(run_once)
def withdraw_schedule_deletion(request: HttpRequest, name: str) -> Deletion:
    """Keep a schedule that is being deleted; it goes on if it was not paused. What is gone stays so."""
    return _withdraw(find_schedule(name))


@router.get("/webhooks/{webhook_id}/deletion", response=SHOWN, url_name="webhook_deletion", tags=["webhooks"])
@needs("scenarios.view_webhook")
def get_webhook_deletion(request: HttpRequest, webhook_id: Path[RowId]) -> Deletion:
    """Show how far the deletion of a webhook with many deliveries is."""
    return _show(find_webhook(webhook_id))


@router.delete("/webhooks/{webhook_id}/deletion", response=SHOWN, openapi_extra=IDEMPOTENT, tags=["webhooks"])
@needs("scenarios.delete_webhook")
@decorate_view(run_once)
def withdraw_webhook_deletion(request: HttpRequest, webhook_id: Path[RowId]) -> Deletion:
    """Keep a webhook that is being deleted; it is enabled again if it was. What is gone stays so."""
    return _withdraw(find_webhook(webhook_id))


def _show(owner: Owner) -> Deletion:
    found = deletion_requests.find_request(owner)
    if found is None:
        raise _build_missing(owner)
    return _describe(owner, found, waiting_for=find_deletion_obstacle(found))


def _withdraw(owner: Owner) -> Deletion:
    withdrawn = deletion_requests.withdraw_deletion(owner)
    if withdrawn is None:
        raise _build_missing(owner)
    return _describe(owner, withdrawn)


def _build_missing(owner: Owner) -> NotFoundError:
    kind = deletion_requests.KINDS[type(owner)]
    return NotFoundError(f"{kind.capitalize()} {str(owner)!r} is not being deleted.")


def _describe(owner: Owner, found: DeletionRequest, *, waiting_for: str = "") -> Deletion:
    return Deletion(
        kind=deletion_requests.KINDS[type(owner)],
        name=str(owner),
        requested_at=found.requested_at,
        requested_by=found.requested_by_name,
        total=found.total,
        left=found.left,
        waiting_for=waiting_for,
    )
