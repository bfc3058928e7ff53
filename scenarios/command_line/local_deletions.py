"""Deletions that the watchdog of this machine carries out, as the command line shows them."""

from coordinator_client.command_line.coordinator import NotFound
from coordinator_client.parsing import parse
from coordinator_client.records import Deletion
from scenarios import models
from scenarios.published.records import format_time
from scenarios.runs import deletion_requests
from scenarios.runs.deletion_requests import Owner
from scenarios.supervision.readiness import find_deletion_obstacle


def describe_deletion(row: models.DeletionRequest | None) -> Deletion | None:
    return None if row is None else _describe(row, find_deletion_obstacle(row))


def withdraw_deletion(owner: Owner) -> Deletion:
    withdrawn = deletion_requests.withdraw_deletion(owner)
    if withdrawn is None:
        kind = deletion_requests.KINDS[type(owner)]
        raise NotFound(f"{kind.capitalize()} {str(owner)!r} is not being deleted.")
    return _describe(withdrawn, "")


def _describe(row: models.DeletionRequest, waiting_for: str) -> Deletion:
    fields = {
        "kind": row.kind,
        "name": row.name,
        "requested_at": format_time(row.requested_at),
        "requested_by": row.requested_by_name,
        "total": row.total,
        "left": row.left,
        "waiting_for": waiting_for,
    }
    return parse(Deletion, fields)
