"""Two runs side by side, as the control room compares them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import JsonValue

from scenarios.api.access import needs
from scenarios.api.description import ITEM_REFUSALS
from scenarios.api.names import find_run
from scenarios.api.paging import FilterNames
from scenarios.api.problems import NotFoundError
from scenarios.api.run_fields import RunStatus
from scenarios.domain.outcomes import Rollback
from scenarios.library.compared_runs import choose_other, compare_runs, list_candidates

router = Router(tags=["runs"])


class ComparedRun(Schema):
    id: UUID
    scenario: str
    status: RunStatus
    rollback: Rollback | None
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds from `started_at` to `finished_at`.")
    environment: str = Field(description="The environment whose services it uses; empty if none.")
    url: str = Field(description="The run's page in the admin site.")


class ComparedValues(Schema):
    """The values in this run and in the other; null if a run has none."""

    value: JsonValue
    other: JsonValue


class ComparedFigure(Schema):
    """Seconds; for error_rate a share from 0 to 1. Null if a run does not have the figure."""

    figure: str = Field(
        description="time_to_detect, time_to_recover, time_to_pass, or of a load p95 or error_rate."
    )
    phase: str
    validation: str
    load: str
    value: float | None
    other: float | None


class RunComparison(Schema):
    run: ComparedRun
    other: ComparedRun
    variables: dict[str, ComparedValues] = Field(description="Those that differ.")
    document: list[str] = Field(
        description="Lines of a unified diff, from the document of the other run to that of this run; "
        "empty if both are the same."
    )
    figures: list[ComparedFigure]


class OtherRun(FilterNames):
    other: UUID | None = Field(
        None,
        description="The id of the other run. Without it, the last run of the scenario before this one that "
        "has passed or, if none has, the last one before it.",
    )


@router.get(
    "/runs/{run_id}/comparison", response={200: RunComparison, **ITEM_REFUSALS}, url_name="run_comparison"
)
@needs("scenarios.view_run")
def compare_run(request: HttpRequest, run_id: UUID, query: Query[OtherRun]) -> dict[str, Any]:
    """Compare the run with another one: what differs, and the figures of both."""
    run = find_run(run_id)
    other = find_run(query.other) if query.other else choose_other(run, list_candidates(run))
    if other is None:
        raise NotFoundError("There is no other run of this scenario to compare with.")
    return compare_runs(run, other).list_fields()
