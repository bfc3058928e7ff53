"""What the API answers, as what the verbs speak of."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar, get_args

from scenarios.command_line.coordinator import (
    CommandRefused,
    EventFacts,
    FaultFacts,
    RunFacts,
    ScenarioFacts,
    ScheduleFacts,
)
from scenarios.command_line.http_api import Refusal
from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.outcomes import Outcome, RunState
from scenarios.library.sync import Change, Kind

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


def scenario_of(row: Any, last: RunFacts | None) -> ScenarioFacts:
    return ScenarioFacts(
        name=_text(row, "name"),
        title=_text(row, "title"),
        description=_text(row, "description"),
        tags=[str(tag) for tag in _of_kind(row, "tags", list)],
        changed_at=_moment(row, "changed_at"),
        last_run=last.verdict if last else "",
        document=row.get("document", ""),
    )


def run_of(row: Any) -> RunFacts:
    status = _text(row, "status")
    goes_on = status in set(RunState)
    if not goes_on and status not in set(Outcome):
        raise NotUnderstood("status")
    return RunFacts(
        id=_text(row, "id"),
        scenario=_text(row, "scenario"),
        state=status if goes_on else RunState.FINISHED.value,
        outcome="" if goes_on else status,
        rollback=understood(row, "rollback") or "",
        reason=_text(row, "reason"),
        waiting_for=_text(row, "waiting_for"),
        started_by=understood(row, "created_by") or "",
        started_from=_text(row, "origin"),
        attempt=_number(row, "attempt"),
        queued_at=_known_moment(row, "created_at"),
        began_at=_moment(row, "started_at"),
        finished_at=_moment(row, "finished_at"),
    )


def event_of(row: Any) -> EventFacts:
    return EventFacts(
        sequence=_number(row, "sequence"),
        kind=_text(row, "kind"),
        at=_known_moment(row, "at"),
        phase=_text(row, "phase"),
        subject=_text(row, "step"),
        detail=_of_kind(row, "data", dict),
    )


def fault_of(row: Any) -> FaultFacts:
    words = ("run", "scenario", "phase", "action", "driver", "service", "state", "reason")
    known: Mapping[str, str] = {name: _text(row, name) for name in words}
    return FaultFacts(
        **known,
        host=_text(row, "host") if "host" in row else "",  # a coordinator of an earlier version has none
        standing=_text(row, "standing" if "standing" in row else "state"),
        undo_tries=_number(row, "undo_tries"),
        injected_at=_moment(row, "injected_at"),
        closed_at=_moment(row, "closed_at"),
    )


def schedule_of(row: Any) -> ScheduleFacts:
    words = ("name", "scenario", "cron", "time_zone")
    known: Mapping[str, str] = {name: _text(row, name) for name in words}
    return ScheduleFacts(
        **known,
        paused=_of_kind(row, "paused", bool),
        next_at=_moment(row, "next_at"),
        changed_by=understood(row, "changed_by") or "",
    )


def change_of(row: Any, after: Mapping[str, str]) -> Change:
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
