"""The fields of a run, in lists and alone."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import JsonValue

from scenarios.api.names import Int64
from scenarios.domain.outcomes import Rollback
from scenarios.models import Approval, Run
from scenarios.published.records import list_fields, record_run
from scenarios.runs.comparisons import compare_run
from scenarios.runs.history import read_history
from scenarios.runs.load_results import read_loads


class RunStatus(StrEnum):
    """The state of a run or, once it has ended, its outcome."""

    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"


class RunStatusFilter(StrEnum):
    """A status, or `finished` for every outcome."""

    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"


class RunInList(Schema):
    """`status` is the state and, once the run has ended, the outcome; `rollback` is null until then."""

    id: UUID
    scenario: str
    title: str
    status: RunStatus
    rollback: Rollback | None
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None = Field(description="Seconds from `started_at` to `finished_at`.")
    created_by: str | None
    origin: str = Field(description="Where the run was requested: admin, api, cli or schedule.")
    variables: dict[str, JsonValue]
    environment: str = Field(description="The environment whose services it uses; empty if none.")
    priority: int = Field(description="Among waiting runs, the highest priority begins first.")
    attempt: int
    waiting_for: str = Field(description="What the run waits for; empty if nothing.")
    stopping: bool = Field(description="Whether somebody has requested its end.")
    last_event: int = Field(description="Sequence number of the newest event.")
    url: str = Field(description="The run's page in the admin site.")


class FigureComparison(Schema):
    """A figure of the run beside the last 20 passed runs of the same document and environment."""

    figure: str = Field(
        description="time_to_detect, time_to_recover, time_to_pass, or of a load p95 or error_rate."
    )
    phase: str
    validation: str
    load: str
    value: float = Field(description="Seconds; for error_rate a share from 0 to 1.")
    usual: float | None = Field(description="The median of the earlier runs; null without earlier runs.")
    deviation: float | None = Field(description="Their median absolute deviation from it.")
    runs: int = Field(description="How many earlier runs have the figure.")
    unusual: bool = Field(
        description="Whether the value is more than two deviations from the median of at least 5 runs."
    )


class LoadFigures(Schema):
    """Latencies in seconds. A figure that no request tells is null."""

    requests: int = Field(description="Those that were answered, or failed.")
    errors: int
    error_rate: float | None = Field(description="From 0 to 1.")
    rate: float | None = Field(description="Requests without an error, per second.")
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class LoadFiguresOfPhase(LoadFigures):
    phase: str


class LoadOfRun(Schema):
    """`baseline` has the figures of the phases before the first action."""

    name: str
    phases: list[LoadFiguresOfPhase] = Field(description="Those that are over.")
    baseline: LoadFigures | None
    lateness_p99: float | None = Field(
        description="Seconds from the moment at which a request was due until it was sent."
    )


class RunDetails(RunInList):
    """A run, with what is computed from its events."""

    time_to_detect: float | None = Field(description="Seconds; null if there was nothing to detect.")
    time_to_recover: float | None = Field(description="Seconds; null if it did not recover.")
    comparison: list[FigureComparison] = Field(description="Empty until the run has ended.")
    load: list[LoadOfRun] = Field(description="What its loads measured.")
    approval: Int64 | None = Field(description="Id of the approval, if the run needed one: see approvals/ID.")


def describe_run(run: Run) -> dict[str, Any]:
    title = run.scenario.title if run.scenario and run.scenario.title else run.scenario_name
    return {**list_fields(record_run(run)), "title": title}


def describe_run_in_full(run: Run) -> dict[str, Any]:
    """Add the fields that are computed from the run's events."""
    history = read_history(run)
    return {
        **describe_run(run),
        "time_to_detect": history.time_to_detect,
        "time_to_recover": history.time_to_recover,
        "comparison": [comparison.list_fields() for comparison in compare_run(history).items],
        "load": [load.to_json() for load in read_loads(history)],
        "approval": Approval.objects.filter(run=run).values_list("pk", flat=True).first(),
    }
