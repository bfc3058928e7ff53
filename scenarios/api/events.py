"""The events of a run, in pages or as a stream."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import JsonValue

from scenarios.api.access import needs
from scenarios.api.description import ITEM_REFUSALS
from scenarios.api.event_stream import END_SUFFIX, MEDIA_TYPE, StreamReader
from scenarios.api.names import find_run
from scenarios.api.paging import Filters, Order, build_page
from scenarios.api.problems import ProblemAt, RefusedError
from scenarios.domain.event_kinds import EventKind
from scenarios.models import Event
from scenarios.published.records import record_event

router = Router(tags=["runs"])
ORDER = Order(("sequence",), (int,))
MAX_SEQUENCE = 2**31 - 1
MAX_WAIT_SECONDS = 20


class RunEvent(Schema):
    """`sequence` counts from 1 without gaps; secrets in `data` are redacted."""

    sequence: int
    at: datetime
    kind: str = Field(json_schema_extra={"x-extensible-enum": [kind.value for kind in EventKind]})
    phase: str
    step: str
    data: dict[str, JsonValue]


class EventPage(Schema):
    items: list[RunEvent]
    next_cursor: str | None


class EventFilters(Filters):
    after: int = Field(0, ge=0, le=MAX_SEQUENCE, description="Only events after this sequence number.")
    wait: int = Field(
        0,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Streams only: keep the response open for up to this many seconds, if a slot is free.",
    )


LAST_SEEN = "Last-Event-ID"
# The stream is not described: types of generated clients would then be those of a page or of text.
STREAM = {
    "parameters": [
        {
            "name": LAST_SEEN,
            "in": "header",
            "required": False,
            "description": "Streams only: the newest `id` that the reader has seen.",
            "schema": {"type": "string", "pattern": r"^[0-9]{1,10}(\.end)?$"},
        }
    ]
}


@router.get(
    "/runs/{run_id}/events",
    response={200: EventPage, **ITEM_REFUSALS},
    url_name="events",
    openapi_extra=STREAM,
)
@needs("scenarios.view_run")
def list_events(
    request: HttpRequest,
    run_id: UUID,
    filters: Query[EventFilters],
) -> Any:
    """List the run's events in order; with `Accept: text/event-stream`, stream them.

    A stream sends what is new and ends: ask again after `retry`, with `Last-Event-ID`. The last event of a
    run's stream is `end`, with status and rollback.
    """
    run, (seen, has_seen_end) = find_run(run_id), parse_last_seen(request)
    if request.get_preferred_type(["application/json", MEDIA_TYPE]) == MEDIA_TYPE:
        reader = StreamReader(run, max(filters.after, seen), has_seen_end=has_seen_end)
        return reader.respond(filters.wait)
    return build_page(Event.objects.filter(run=run, sequence__gt=filters.after), ORDER, filters, record_event)


def parse_last_seen(request: HttpRequest) -> tuple[int, bool]:
    """The newest event that the reader has seen, and whether it has seen `end`, too."""
    text = request.headers.get(LAST_SEEN, "0")
    word = text.removesuffix(END_SUFFIX)
    if not word.isdecimal() or not word.isascii() or not 0 <= int(word[:20]) <= MAX_SEQUENCE:
        hint = "send the `id` of an event"
        place = ProblemAt(path=f"header.{LAST_SEEN}", message="invalid value", hint=hint)
        raise RefusedError(f"Invalid {LAST_SEEN} {text[:80]!r}; {hint}.", [place])
    return int(word), word != text
