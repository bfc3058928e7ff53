"""What the API answers, as what the verbs speak of."""

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
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import Outcome, RunState
from scenarios.library.sync import Change, Kind
from scenarios.records import EventRecord, FaultRecord, RunRecord

OF_VARIABLES = "body.variables."


T = TypeVar("T")


class NotUnderstood(CommandRefused):
    """An answer without what the API describes."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The coordinator's answer has no {name!r}: is it of another version?")


def understood(row: Any, name: str) -> Any:
    try:
        return row[name]
    except (KeyError, TypeError, IndexError):
        raise NotUnderstood(name) from None


def _text(row: Any, name: str) -> str:
    return _of_kind(row, name, str)


def _number(row: Any, name: str) -> int:
    return _of_kind(row, name, int)


def _of_kind(row: Any, name: str, kind: type[T]) -> T:
    value = understood(row, name)
    if not isinstance(value, kind):
        raise NotUnderstood(name)
    return value


def _moment(row: Any, name: str) -> datetime | None:
    word = understood(row, name)
    if word is None:
        return None
    try:
        return datetime.fromisoformat(word)
    except (TypeError, ValueError):
        raise NotUnderstood(name) from None


def _known_moment(row: Any, name: str) -> datetime:
    moment = _moment(row, name)
    if moment is None:
        raise NotUnderstood(name)
    return moment


def parse_scenario(row: Any, last: RunRecord | None) -> ScenarioFacts:
    return ScenarioFacts(
        name=_text(row, "name"),
        title=_text(row, "title"),
        description=_text(row, "description"),
        tags=[str(tag) for tag in _of_kind(row, "tags", list)],
        changed_at=_moment(row, "changed_at"),
        last_run=last.verdict if last else "",
        document=row.get("document", ""),
    )


def parse_run(row: Any) -> RunRecord:
    status = _text(row, "status")
    if status not in {*RunState, *Outcome}:
        raise NotUnderstood("status")
    started_at, finished_at = _moment(row, "started_at"), _moment(row, "finished_at")
    took = (finished_at - started_at).total_seconds() if started_at and finished_at else None
    return RunRecord(
        id=_text(row, "id"),
        scenario=_text(row, "scenario"),
        status=status,
        rollback=understood(row, "rollback"),
        reason=_text(row, "reason"),
        created_at=_known_moment(row, "created_at"),
        started_at=started_at,
        finished_at=finished_at,
        duration=row.get("duration", took),  # an earlier version has none
        created_by=understood(row, "created_by"),
        origin=_text(row, "origin"),
        variables=_of_kind(row, "variables", dict),
        priority=row.get("priority", 0),
        attempt=_number(row, "attempt"),
        waiting_for=_text(row, "waiting_for"),
        stopping=_of_kind(row, "stopping", bool),
        last_event=_number(row, "last_event"),
        url=_text(row, "url"),
    )


def parse_event(row: Any) -> EventRecord:
    return EventRecord(
        sequence=_number(row, "sequence"),
        at=_known_moment(row, "at"),
        kind=_text(row, "kind"),
        phase=_text(row, "phase"),
        step=_text(row, "step"),
        data=_of_kind(row, "data", dict),
    )


def parse_fault(row: Any) -> FaultRecord:
    """Where a coordinator of an earlier version leaves a field out, its default stands for it."""
    state = _text(row, "state")
    names = ("run", "scenario", "phase", "action", "driver", "service", "reason", "acknowledged_by")
    words: Mapping[str, str] = {name: _text(row, name) for name in names}
    return FaultRecord(
        **words,
        id=_number(row, "id"),
        state=state,
        host=row.get("host", ""),
        address=row.get("address", ""),
        standing=row.get("standing", state),
        outstanding=_of_kind(row, "outstanding", bool),
        undo_tries=_number(row, "undo_tries"),
        opened_at=_known_moment(row, "opened_at"),
        injected_at=_moment(row, "injected_at"),
        closed_at=_moment(row, "closed_at"),
        next_try_at=_moment(row, "next_try_at"),
        late_until=_moment(row, "late_until") if "late_until" in row else None,
        url=row.get("url", ""),
    )


def parse_schedule(row: Any) -> ScheduleFacts:
    words = ("name", "scenario", "cron", "time_zone")
    known: Mapping[str, str] = {name: _text(row, name) for name in words}
    return ScheduleFacts(
        **known,
        paused=_of_kind(row, "paused", bool),
        next_at=_moment(row, "next_at"),
        changed_by=understood(row, "changed_by") or "",
    )


def parse_change(row: Any, after: Mapping[str, str]) -> Change:
    kind: Any = _text(row, "change")
    if kind not in get_args(Kind):
        raise NotUnderstood("change")
    name = _text(row, "name")
    return Change(kind, name, row.get("before") or "", after.get(name, ""))


@contextmanager
def refusals_of_documents() -> Iterator[None]:
    """A problem document with lines, or with variables, as the error that the domain has for it."""
    try:
        yield
    except Refusal as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        if found := error.problems_of_document():
            raise InvalidDocument(found) from error
        variables = {
            str(one["path"]).removeprefix(OF_VARIABLES): str(one["message"])
            for one in error.errors
            if str(one.get("path", "")).startswith(OF_VARIABLES) and "message" in one
        }
        if variables:
            raise InvalidVariables(variables) from error
        raise
