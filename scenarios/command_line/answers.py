"""Parses responses of the API into the types that the verbs use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar, get_args

from scenarios.command_line.coordinator import (
    CommandRefused,
    ScenarioFacts,
    ScheduleFacts,
)
from scenarios.command_line.http_api import Refusal
from scenarios.command_line.registrations import CheckFacts, HostFacts, ServiceFacts
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import Outcome, RunState
from scenarios.library.sync import Change, Kind, Subject
from scenarios.published.records import EventRecord, FaultRecord, RunRecord

VARIABLES_PREFIX = "body.variables."


T = TypeVar("T")


class NotUnderstood(CommandRefused):
    """A response lacks a field that the API promises."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The coordinator's response has no valid {name!r}; check that both have the same version."
        )


def read_field(row: Any, name: str) -> Any:
    try:
        return row[name]
    except (KeyError, TypeError, IndexError):
        raise NotUnderstood(name) from None


def _read_text(row: Any, name: str) -> str:
    return _read_typed(row, name, str)


def _read_number(row: Any, name: str) -> int:
    return _read_typed(row, name, int)


def _read_typed(row: Any, name: str, kind: type[T]) -> T:
    value = read_field(row, name)
    if not isinstance(value, kind):
        raise NotUnderstood(name)
    return value


def _read_time(row: Any, name: str) -> datetime | None:
    word = read_field(row, name)
    if word is None:
        return None
    try:
        return datetime.fromisoformat(word)
    except (TypeError, ValueError):
        raise NotUnderstood(name) from None


def _read_required_time(row: Any, name: str) -> datetime:
    moment = _read_time(row, name)
    if moment is None:
        raise NotUnderstood(name)
    return moment


def parse_scenario(row: Any, last: RunRecord | None) -> ScenarioFacts:
    return ScenarioFacts(
        name=_read_text(row, "name"),
        title=_read_text(row, "title"),
        description=_read_text(row, "description"),
        tags=[str(tag) for tag in _read_typed(row, "tags", list)],
        changed_at=_read_time(row, "changed_at"),
        last_run=last.verdict if last else "",
        document=row.get("document", ""),
    )


def parse_run(row: Any) -> RunRecord:
    status = _read_text(row, "status")
    if status not in {*RunState, *Outcome}:
        raise NotUnderstood("status")
    started_at, finished_at = _read_time(row, "started_at"), _read_time(row, "finished_at")
    took = (finished_at - started_at).total_seconds() if started_at and finished_at else None
    return RunRecord(
        id=_read_text(row, "id"),
        scenario=_read_text(row, "scenario"),
        status=status,
        rollback=read_field(row, "rollback"),
        reason=_read_text(row, "reason"),
        created_at=_read_required_time(row, "created_at"),
        started_at=started_at,
        finished_at=finished_at,
        duration=row.get("duration", took),  # missing in earlier versions
        created_by=read_field(row, "created_by"),
        origin=_read_text(row, "origin"),
        variables=_read_typed(row, "variables", dict),
        priority=row.get("priority", 0),
        attempt=_read_number(row, "attempt"),
        waiting_for=_read_text(row, "waiting_for"),
        stopping=_read_typed(row, "stopping", bool),
        last_event=_read_number(row, "last_event"),
        url=_read_text(row, "url"),
    )


def parse_event(row: Any) -> EventRecord:
    return EventRecord(
        sequence=_read_number(row, "sequence"),
        at=_read_required_time(row, "at"),
        kind=_read_text(row, "kind"),
        phase=_read_text(row, "phase"),
        step=_read_text(row, "step"),
        data=_read_typed(row, "data", dict),
    )


def parse_fault(row: Any) -> FaultRecord:
    """Fills in the fields that coordinators of earlier versions do not send."""
    state = _read_text(row, "state")
    status = row.get("status", row.get("standing", state))
    names = ("run", "scenario", "phase", "action", "driver", "service", "reason", "acknowledged_by")
    words: Mapping[str, str] = {name: _read_text(row, name) for name in names}
    return FaultRecord(
        **words,
        id=_read_number(row, "id"),
        state=state,
        host=row.get("host", ""),
        address=row.get("address", ""),
        status=status,
        standing=status,
        outstanding=_read_typed(row, "outstanding", bool),
        undo_tries=_read_number(row, "undo_tries"),
        opened_at=_read_required_time(row, "opened_at"),
        injected_at=_read_time(row, "injected_at"),
        closed_at=_read_time(row, "closed_at"),
        next_try_at=_read_time(row, "next_try_at"),
        late_until=_read_time(row, "late_until") if "late_until" in row else None,
        url=row.get("url", ""),
        fault_id=row.get("fault_id", ""),
        target=row.get("target", ""),
        lease_seconds=row.get("lease_seconds", 0.0),
        expires_at=_read_time(row, "expires_at") if "expires_at" in row else None,
    )


def parse_service(row: Any) -> ServiceFacts:
    """Fills in the fields that coordinators of earlier versions do not send."""
    words: Mapping[str, str] = {name: _read_text(row, name) for name in ("name", "base_url", "description")}
    proxy = {name: str(row.get(name, "")) for name in ("proxy", "proxy_listener", "proxy_secret")}
    return ServiceFacts(
        **words,
        **proxy,
        health_path=str(row.get("health_path", "")),
        health_status=row.get("health_status"),
        protected=_read_typed(row, "protected", bool),
        held_by=read_field(row, "held_by"),
        touched_by=_read_typed(row, "touched_by", list),
    )


def parse_host(row: Any) -> HostFacts:
    words: Mapping[str, str] = {name: _read_text(row, name) for name in ("name", "address", "description")}
    return HostFacts(
        **words,
        labels=_read_typed(row, "labels", dict),
        protected=_read_typed(row, "protected", bool),
        held_by=read_field(row, "held_by"),
    )


def parse_checks(row: Any) -> list[CheckFacts]:
    return [
        CheckFacts(
            _read_text(check, "subject"), _read_typed(check, "ok", bool), _read_text(check, "sentence")
        )
        for check in _read_typed(row, "checks", list)
    ]


def parse_schedule(row: Any) -> ScheduleFacts:
    words = ("name", "scenario", "cron", "time_zone")
    known: Mapping[str, str] = {name: _read_text(row, name) for name in words}
    return ScheduleFacts(
        **known,
        paused=_read_typed(row, "paused", bool),
        next_at=_read_time(row, "next_at"),
        changed_by=read_field(row, "changed_by") or "",
    )


def parse_change(row: Any, after: Mapping[tuple[Subject, str], str]) -> Change:
    kind: Any = _read_text(row, "change")
    if kind not in get_args(Kind):
        raise NotUnderstood("change")
    name = _read_text(row, "name")
    # Older coordinators store scenarios only, and do not say so.
    subject: Any = row.get("subject") or "scenario"
    return Change(kind, name, row.get("before") or "", after.get((subject, name), ""), subject)


@contextmanager
def raise_document_errors() -> Iterator[None]:
    """Raises InvalidDocument or InvalidVariables for problems with lines or with variables."""
    try:
        yield
    except Refusal as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        if found := error.list_document_problems():
            raise InvalidDocument(found) from error
        variables = {
            str(item["path"]).removeprefix(VARIABLES_PREFIX): str(item["message"])
            for item in error.errors
            if str(item.get("path", "")).startswith(VARIABLES_PREFIX) and "message" in item
        }
        if variables:
            raise InvalidVariables(variables) from error
        raise
