"""Runs, faults and events under the names that every output gives them.

The API, the JSON report, webhook messages and `--json` on the command line all take their fields from here.
Durations are seconds; times are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import Model

from scenarios.domain.looks import Look
from scenarios.domain.outcomes import UNBEGUN, Outcome, Rollback, RunState
from scenarios.domain.plan import origin
from scenarios.models import Event, Fault, Run


@dataclass(frozen=True, slots=True)
class RunRecord:
    """`status` is the outcome of a run that has ended, else its state; `rollback` is None until then.

    `url` is the address of the run's page.
    """

    id: str
    scenario: str
    status: str
    rollback: str | None
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None
    created_by: str | None
    origin: str
    variables: Mapping[str, Any]
    priority: int
    attempt: int
    waiting_for: str
    stopping: bool
    last_event: int
    url: str
    environment: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:8]

    @property
    def has_ended(self) -> bool:
        return self.status in set(Outcome)

    @property
    def has_begun(self) -> bool:
        return self.status not in UNBEGUN

    @property
    def verdict(self) -> str:
        """For a person: the status and, unless it is clean, the rollback."""
        if not self.has_ended or self.rollback == Rollback.CLEAN:
            return self.status
        return f"{self.status}, rollback {self.rollback}"


@dataclass(frozen=True, slots=True)
class LastRunRecord:
    """The newest run of a scenario: the fields of a run that say how it went, and when."""

    id: str
    status: str
    rollback: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    url: str


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """`status` is the state in words; `address` is where the service was when the fault was injected.

    Of a fault driver's fault: `fault_id` is the id that its target knows, `target` the place in words. With a
    `lease_seconds` above 0 it ends by itself at `expires_at`, unless it is renewed.
    """

    id: int
    run: str
    scenario: str
    phase: str
    action: str
    driver: str
    service: str
    host: str
    address: str
    state: str
    status: str
    outstanding: bool
    reason: str
    undo_tries: int
    opened_at: datetime
    injected_at: datetime | None
    closed_at: datetime | None
    next_try_at: datetime | None
    late_until: datetime | None
    acknowledged_by: str
    url: str
    fault_id: str = ""
    target: str = ""
    lease_seconds: float = 0.0
    expires_at: datetime | None = None
    standing: str = ""
    """The earlier name of `status`, which goes with the next release."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """`sequence` counts a run's events from 1 without a gap; `step` is the step's name."""

    sequence: int
    at: datetime
    kind: str
    phase: str
    step: str
    data: Mapping[str, Any]


Record = RunRecord | LastRunRecord | FaultRecord | EventRecord


def record_run(run: Run) -> RunRecord:
    """Reads `run.started_by`: select it together with many runs."""
    return RunRecord(
        id=str(run.pk),
        scenario=run.scenario_name,
        status=run.outcome or run.state,
        rollback=run.rollback or None,
        reason=run.reason,
        created_at=run.queued_at,
        started_at=run.claimed_at,
        finished_at=run.finished_at,
        duration=run.took.total_seconds() if run.took is not None else None,
        created_by=run.started_by.get_username() if run.started_by is not None else None,
        origin=run.started_from,
        variables=run.variables,
        priority=run.priority,
        attempt=run.attempt,
        waiting_for=run.waiting_for if run.state in UNBEGUN else "",
        stopping=run.stop_requested_at is not None and run.state != RunState.FINISHED,
        last_event=run.last_event,
        url=page_url(run),
        environment=run.environment,
    )


def record_last_run(run: Run) -> LastRunRecord:
    return LastRunRecord(
        id=str(run.pk),
        status=run.outcome or run.state,
        rollback=run.rollback or None,
        created_at=run.queued_at,
        started_at=run.claimed_at,
        finished_at=run.finished_at,
        url=page_url(run),
    )


def record_fault(fault: Fault) -> FaultRecord:
    """Reads `fault.run`: select it together with many faults."""
    return FaultRecord(
        id=fault.pk,
        run=str(fault.run_id),
        scenario=fault.run.scenario_name,
        phase=fault.phase,
        action=fault.action,
        driver=fault.driver,
        service=fault.service,
        host=fault.host,
        address=origin(fault.address) if fault.address else "",
        state=fault.state,
        status=fault.status,
        standing=fault.status,
        outstanding=fault.is_outstanding,
        reason=fault.reason,
        undo_tries=fault.undo_tries,
        opened_at=fault.opened_at,
        injected_at=fault.injected_at,
        closed_at=fault.closed_at,
        next_try_at=fault.next_try_at,
        late_until=fault.late_until,
        acknowledged_by=fault.acknowledged_by,
        url=page_url(fault),
        fault_id=fault.fault_id,
        target=fault.target,
        lease_seconds=fault.lease_seconds,
        expires_at=fault.expires_at,
    )


def record_event(event: Event) -> EventRecord:
    return EventRecord(event.sequence, event.at, event.kind, event.phase, event.subject, event.detail)


def page_url(row: Model) -> str:
    """The row's page in the admin."""
    # Not by `reverse`: a worker would import every page and the whole API for it.
    return f"{settings.PUBLIC_URL}/admin/scenarios/{row._meta.model_name}/{row.pk}/change/"  # noqa: SLF001 - Django's own public name for it


def list_fields(record: Record) -> dict[str, Any]:
    """The record's fields by name, in their order; times are not converted."""
    return {field.name: getattr(record, field.name) for field in fields(record)}


def json_fields(record: Record) -> dict[str, Any]:
    """The record's fields as JSON values."""
    return {
        name: format_time(value) if isinstance(value, datetime) else value
        for name, value in list_fields(record).items()
    }


def json_look(look: Look) -> dict[str, Any]:
    """One look of a validation; `value` only where the expectation compares a number."""
    at = format_time(datetime.fromtimestamp(look.at, UTC))
    fields = {"at": at, "holds": look.holds, "elapsed": look.elapsed}
    return fields if look.value is None else {**fields, "value": look.value}


def format_time(moment: datetime) -> str:
    """The time as in the API: RFC 3339 in UTC, with milliseconds if it has a fraction."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


# The names that reports, messages and `--json` gave these fields before; they go with the next release.

EARLIER_RUN_NAMES = {"started_from": "origin", "queued_at": "created_at"}


def add_earlier_run_names(fields: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """The JSON fields of a run, then the earlier names; `names` are those that only one output had."""
    has_ended = fields["status"] in set(Outcome)
    earlier = {old: fields[new] for old, new in {**EARLIER_RUN_NAMES, **names}.items()}
    return {
        **fields,
        "state": RunState.FINISHED.value if has_ended else fields["status"],
        "outcome": fields["status"] if has_ended else "",
        "started_by": fields["created_by"] or "",
        **earlier,
    }


def add_earlier_event_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields, "subject": fields["step"], "detail": fields["data"]}
