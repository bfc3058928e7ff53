"""The events of all runs as Server-Sent Events, for dashboards and chat bots.

A message has the id of its event. A reader that sends it as Last-Event-ID continues after it, and misses or
repeats no event. `position` is a message without an event, from which the reader continues.
"""

import time
from collections.abc import Iterator
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Field, Query, Router
from pydantic import AfterValidator

from scenarios.api.access import needs
from scenarios.api.description import REFUSALS
from scenarios.api.event_stream import (
    HEADERS,
    KEEPALIVE,
    KEEPALIVE_SECONDS,
    MAX_BATCH,
    MEDIA_TYPE,
    POLL_SECONDS,
    RETRY,
    slots,
)
from scenarios.api.events import LAST_SEEN, MAX_WAIT_SECONDS
from scenarios.api.paging import FilterNames, Text
from scenarios.api.problems import ProblemAt, RefusedError
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome
from scenarios.domain.outputs import dump_json
from scenarios.models import Event
from scenarios.published.records import json_fields, record_event
from scenarios.runs.event_feed import EventFilter, read_window, settled_ids

router = Router(tags=["runs"])
MAX_ID = 2**63 - 1
# How long a request that does not wait may wait for transactions that run beside it.
SETTLE_SECONDS = 1.0
# Without a new position, a reader that comes back would look through as many events again.
MAX_SILENT_IDS = 1_000


def check_kinds(words: str) -> str:
    unknown = [word for word in words.split(",") if word not in set(EventKind)]
    if unknown:
        raise ValueError(f"unknown kind {unknown[0][:80]!r}; choose from {', '.join(EventKind)}")
    return words


class StreamFilters(FilterNames):
    """`scenario` is a whole name; `outcome` selects ends of runs with this outcome only."""

    scenario: Text | None = None
    kind: Annotated[str, AfterValidator(check_kinds)] | None = Field(
        None, max_length=2000, description="One kind of events, or several that are separated by commas."
    )
    outcome: Outcome | None = None
    after: int | None = Field(
        None,
        ge=0,
        le=MAX_ID,
        description="The newest `id` that the reader has seen, where it cannot send a header, as a browser's "
        "first EventSource.",
    )
    wait: int = Field(
        0,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Keep the response open for up to this many seconds, if a slot is free.",
    )

    def build(self) -> EventFilter:
        kinds = self.kind.split(",") if self.kind else ()
        return EventFilter(self.scenario or "", kinds, self.outcome)


class FeedReader:
    """Writes one reader's response: a position for a new reader, then the events that it has not seen."""

    def __init__(self, selected: EventFilter, seen: int | None) -> None:
        self._selected = selected
        self._seen = seen if seen is not None else -1
        self._told = self._seen

    def respond(self, wait: float) -> HttpResponseBase:
        parts = self._read(time.monotonic() + wait)
        if wait:
            return StreamingHttpResponse(parts, content_type=MEDIA_TYPE, headers=HEADERS)
        return HttpResponse("".join(parts), content_type=MEDIA_TYPE, headers=HEADERS)

    def _read(self, end: float) -> Iterator[str]:
        yield RETRY
        yield self._begin()
        yield from self._read_settled(time.monotonic() + SETTLE_SECONDS)
        if time.monotonic() < end and slots.acquire():
            try:
                yield from self._poll_until(end)
            finally:
                slots.release()
        if self._seen - self._told > MAX_SILENT_IDS:
            yield self._format_position()

    def _begin(self) -> str:
        """A new reader, or one that has seen ids of another database, begins with the events from now on."""
        _settled, newest = settled_ids.find()
        if 0 <= self._seen <= newest:
            return ""
        self._seen = newest
        return self._format_position()

    def _read_settled(self, end: float) -> Iterator[str]:
        """All present events, once they are final."""
        settled, newest = settled_ids.find()
        yield from self._read_up_to(settled)
        while self._seen < newest and time.monotonic() < end:
            time.sleep(POLL_SECONDS / 5)
            settled, _ = settled_ids.find()
            yield from self._read_up_to(min(settled, newest))

    def _poll_until(self, end: float) -> Iterator[str]:
        silent_since = time.monotonic()
        while (now := time.monotonic()) < end:
            settled, _newest = settled_ids.find()
            for part in self._read_up_to(settled):
                silent_since = now
                yield part
            if now - silent_since >= KEEPALIVE_SECONDS:
                silent_since = now
                yield KEEPALIVE
            time.sleep(POLL_SECONDS)

    def _read_up_to(self, settled: int) -> Iterator[str]:
        while self._seen < settled:
            events, self._seen = read_window(self._selected, self._seen, settled, MAX_BATCH)
            if events:
                self._told = events[-1].pk
                yield "".join(map(format_event, events))

    def _format_position(self) -> str:
        self._told = self._seen
        return f"id: {self._seen}\nevent: position\ndata: {{}}\n\n"


def format_event(event: Event) -> str:
    fields = {"run": str(event.run_id), "scenario": event.run.scenario_name}
    return f"id: {event.pk}\ndata: {dump_json({**fields, **json_fields(record_event(event))})}\n\n"


# Not `string`: tools that know Server-Sent Events compare each message with the schema.
MESSAGES = {"description": "Messages whose data is an event as JSON, with the run and its scenario."}
STREAM: dict[str, Any] = {
    "parameters": [
        {
            "name": LAST_SEEN,
            "in": "header",
            "required": False,
            "description": "The newest `id` that the reader has seen; without it, the stream begins now.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        }
    ],
    "responses": {
        200: {"description": "OK", "content": {MEDIA_TYPE: {"schema": MESSAGES}}},
    },
}


@router.get("/events", response={200: None, **REFUSALS}, url_name="all_events", openapi_extra=STREAM)
@needs("scenarios.view_run")
def stream_events(request: HttpRequest, filters: Query[StreamFilters]) -> Any:
    """Stream the events of all runs, as Server-Sent Events.

    The stream sends what is new and ends: ask again after `retry`, with `Last-Event-ID`. A new reader gets
    the message `position` and then what happens from now on.
    """
    seen = parse_last_id(request)
    return FeedReader(filters.build(), filters.after if seen is None else seen).respond(filters.wait)


def parse_last_id(request: HttpRequest) -> int | None:
    text = request.headers.get(LAST_SEEN)
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii() or int(text[:20]) > MAX_ID:
        hint = "send the `id` of a message"
        place = ProblemAt(path=f"header.{LAST_SEEN}", message="invalid value", hint=hint)
        raise RefusedError(f"Invalid {LAST_SEEN} {text[:80]!r}; {hint}.", [place])
    return int(text)
