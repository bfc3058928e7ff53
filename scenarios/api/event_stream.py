"""A run's events as Server-Sent Events, without a server thread for each reader.

A gthread worker has few threads, and an open stream occupies one. So a response sends what is new and ends;
the reader asks again after `retry` and sends Last-Event-ID, as every EventSource does by itself. Only a few
readers of each process may wait for more events, and only for seconds.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from scenarios.domain.outcomes import RunState
from scenarios.domain.outputs import dump_json
from scenarios.models import Event, Run
from scenarios.published.records import json_fields, record_event

MEDIA_TYPE = "text/event-stream"
# No blank line follows: libraries such as httpx-sse would take one for a message without data.
RETRY = "retry: 1000\n"
KEEPALIVE = ": waiting\n"
POLL_SECONDS = 0.05
# Where events come in quick succession, so that each arrives within a tenth of a second.
BUSY_POLL_SECONDS, BUSY_SECONDS = 0.02, 1.0
# A reader that has disconnected is noticed only when something is sent to it.
KEEPALIVE_SECONDS = 5.0
MAX_BATCH = 1000
# The id of `end` is that of the last event with this.
END_SUFFIX = ".end"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class WaitingSlots:
    """Limits how many readers of this process may wait at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def acquire(self) -> bool:
        with self._lock:
            if self._taken >= settings.API_WAITING_STREAMS:
                return False
            self._taken += 1
            return True

    def release(self) -> None:
        with self._lock:
            self._taken -= 1


slots = WaitingSlots()


class StreamReader:
    """Writes one reader's response: the events it has not seen, then `end` once the run has ended.

    `end` has an id, too, so that a reader who reconnects is not sent it twice, and always gets it once.
    """

    def __init__(self, run: Run, after: int, *, has_seen_end: bool = False) -> None:
        self._run = run
        self._seen = after
        self._has_seen_end = has_seen_end
        self._has_ended = False

    def respond(self, wait: float) -> HttpResponseBase:
        new = self._read_new()
        if self._has_ended and not new:
            # By the specification, 204 tells an EventSource not to reconnect.
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers=HEADERS)
        if self._has_ended or not wait:
            return HttpResponse(RETRY + new, content_type=MEDIA_TYPE, headers=HEADERS)
        return StreamingHttpResponse(self._wait_for_more(new, wait), content_type=MEDIA_TYPE, headers=HEADERS)

    def _wait_for_more(self, new: str, wait: float) -> Iterator[str]:
        yield RETRY + new
        # Acquired here, because a response that is never read never begins and would keep its slot.
        if not slots.acquire():
            return
        try:
            yield from self._poll_until(time.monotonic() + wait)
        finally:
            slots.release()

    def _poll_until(self, end: float) -> Iterator[str]:
        silent_since = news_at = time.monotonic()
        while not self._has_ended and (now := time.monotonic()) < end:
            if new := self._read_new():
                silent_since = news_at = now
                yield new
            elif now - silent_since >= KEEPALIVE_SECONDS:
                silent_since = now
                yield KEEPALIVE
            if not self._has_ended:
                time.sleep(BUSY_POLL_SECONDS if now - news_at < BUSY_SECONDS else POLL_SECONDS)

    def _read_new(self) -> str:
        newest = Run.objects.filter(pk=self._run.pk).values_list("last_event", "state").first()
        if newest is None:
            self._has_ended = True  # the run was deleted in the meantime
            return ""
        last_event, state = newest
        # No event after `last_event`: those belong to a state that was not read.
        rows = Event.objects.filter(run=self._run, sequence__gt=self._seen, sequence__lte=last_event)
        written = ""
        if last_event > self._seen:
            written = "".join(map(self._format_event, rows.order_by("sequence")[:MAX_BATCH]))
        self._has_ended = state == RunState.FINISHED and self._seen >= last_event
        if self._has_ended and (written or not self._has_seen_end):
            written += self._format_end()
        return written

    def _format_event(self, event: Event) -> str:
        self._seen = event.sequence
        return f"id: {event.sequence}\ndata: {dump_json(json_fields(record_event(event)))}\n\n"

    def _format_end(self) -> str:
        run = Run.objects.only("outcome", "rollback", "reason").get(pk=self._run.pk)
        ending = {"status": run.outcome, "rollback": run.rollback, "reason": run.reason}
        return f"id: {self._seen}{END_SUFFIX}\nevent: end\ndata: {json.dumps(ending)}\n\n"
