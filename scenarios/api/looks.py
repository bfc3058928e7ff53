"""What the probes of a run's validations saw."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from scenarios.api.access import needs
from scenarios.api.description import ITEM_REFUSALS
from scenarios.api.names import find_run
from scenarios.api.paging import Text
from scenarios.published.looks import read_looks

router = Router(tags=["runs"])


class Look(Schema):
    """What one probe of a validation saw."""

    at: datetime = Field(description="When it began.")
    holds: bool
    elapsed: float = Field(description="Seconds that the probe took.")
    value: float | None = Field(description="The number at `compared`; null if there was none.")


class LooksOfValidation(Schema):
    """At most 2,000 looks. Of more, every second one is left out, but none at which the answer changed."""

    phase: str
    name: str
    about: str = Field(description="The service that is probed, or the driver of a probe without one.")
    compared: str = Field(description="The field or JSONPath that is compared; empty if no number is.")
    looks: list[Look]


class LooksOfRun(Schema):
    items: list[LooksOfValidation]


class LookFilters(Schema):
    """Names; without them, the looks of every validation are listed."""

    phase: Text | None = None
    validation: Text | None = None


@router.get("/runs/{run_id}/looks", response={200: LooksOfRun, **ITEM_REFUSALS}, url_name="looks")
@needs("scenarios.view_run")
def list_looks(request: HttpRequest, run_id: UUID, filters: Query[LookFilters]) -> dict[str, Any]:
    """List what the probes of the run's validations saw, up to a few seconds ago."""
    kept = read_looks(find_run(run_id), phase=filters.phase or "", validation=filters.validation or "")
    return {
        "items": [
            {
                "phase": watched_looks.watched.phase,
                "name": watched_looks.watched.validation,
                "about": watched_looks.watched.about,
                "compared": watched_looks.watched.compared,
                "looks": [
                    {
                        "at": datetime.fromtimestamp(look.at, UTC),
                        "holds": look.holds,
                        "elapsed": look.elapsed,
                        "value": look.value,
                    }
                    for look in watched_looks.looks
                ],
            }
            for watched_looks in kept
        ]
    }
