"""The events of a run: in pages, or as a stream."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import JsonValue

from scenarios.api.access import needs
from scenarios.api.description import ITEM_REFUSALS
from scenarios.api.event_stream import MEDIA_TYPE, StreamReader
from scenarios.api.names import find_run
from scenarios.api.paging import Filters, Order, build_page
from scenarios.api.problems import RefusedError
from scenarios.models import Event
from scenarios.records import record_event

router = Router(tags=["runs"])
ORDER = Order(("sequence",), (int,))
MAX_SEQUENCE = 2**31 - 1
MAX_WAIT_SECONDS = 20


class RunEvent(Schema):
    """`sequence` counts from 1 without a gap; `data` is redacted."""

    sequence: int
    at: datetime
    kind: str
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
        description="Of a stream: stay for so many seconds and send what comes, where there is room to.",
    )


LAST_SEEN = "Last-Event-ID"
STREAM = {
    "parameters": [
        {
            "name": LAST_SEEN,
            "in": "header",
            "required": False,
            "description": "Of a stream: the newest `id` that was read.",
            "schema": {"type": "integer", "minimum": 0, "maximum": MAX_SEQUENCE},
        }
    ],
    "responses": {
        200: {
            "content": {
                MEDIA_TYPE: {"schema": {"type": "string"}},
            }
        },
        204: {"description": "Of a stream: the run has ended, and nothing is new. Do not ask again."},
    },
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
    """The run's events in their order, as a page; or, with `Accept: text/event-stream`, as a stream.

    A stream sends what is new, and ends: ask again after `retry`, with `Last-Event-ID`. The last it sends of
    a run is an event `end` with status and rollback.
    """
    run, seen = find_run(run_id), parse_last_seen(request)
    if request.get_preferred_type(["application/json", MEDIA_TYPE]) == MEDIA_TYPE:
        return StreamReader(run, max(filters.after, seen)).respond(filters.wait)
    return build_page(Event.objects.filter(run=run, sequence__gt=filters.after), ORDER, filters, record_event)


def parse_last_seen(request: HttpRequest) -> int:
    word = request.headers.get(LAST_SEEN, "0")
    if not word.isdecimal() or not word.isascii() or not 0 <= int(word[:20]) <= MAX_SEQUENCE:
        raise RefusedError(f"{LAST_SEEN} {word[:80]!r} is refused: an event's sequence number.")
    return int(word)
