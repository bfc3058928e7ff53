"""What a reader of a stream of events remembers between two connections."""

import json
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Generic, TypeVar

from coordinator_client.errors import NotUnderstoodError
from coordinator_client.parsing import parse
from coordinator_client.records import Event, FeedEvent
from coordinator_client.server_sent_events import EventStreamParser, Message

E = TypeVar("E", bound=Event)
# Waits this long for a coordinator that is restarted or unreachable, because the run continues.
MAX_OUTAGE_SECONDS = 60.0
# A stream that lasted this long has waited for events; the next one may begin at once.
MIN_STREAM_SECONDS = 0.5
FIRST_DELAY, MAX_DELAY = 0.05, 2.0


class FollowedStream(Generic[E]):
    """`last_id` is the id of the newest message; "" for a reader who begins with what comes now."""

    has_ended = False

    def __init__(self, last_id: str, max_outage: float | None = None) -> None:
        self.max_outage = MAX_OUTAGE_SECONDS if max_outage is None else max_outage
        self._parser = EventStreamParser(last_id)
        self._heard_at = monotonic()
        self._failures = 0

    @property
    def last_id(self) -> str:
        return self._parser.last_id

    def begin(self) -> None:
        """A connection is there: what was half read before comes again."""
        self._parser.reset()
        self._heard_at, self._failures = monotonic(), 0

    def read(self, content: bytes) -> Sequence[E]:
        """The new events in the bytes."""
        self._heard_at = monotonic()
        events = []
        for message in self._parser.feed(content):
            if message.event == "end":
                self.has_ended = True
                break
            if (event := self._take(message)) is not None:
                events.append(event)
        return events

    def _take(self, message: Message) -> E | None:
        """The event of the message; None if it has none, or one that was read before."""
        raise NotImplementedError

    def note_outage(self) -> float | None:
        """The seconds until the next try; None if the coordinator has been away for too long."""
        if monotonic() - self._heard_at > self.max_outage:
            return None
        self._failures += 1
        return min(FIRST_DELAY * 4 ** min(self._failures - 1, 5), MAX_DELAY) if self._failures > 1 else 0.0

    def choose_pause(self, lasted: float) -> float:
        """The seconds until the next connection: the server's `retry`, unless the stream has waited."""
        return 0.0 if lasted >= MIN_STREAM_SECONDS else self._parser.retry


class FollowedRun(FollowedStream[Event]):
    """`last` is the number of the newest event that was read. After an interruption it continues there."""

    def __init__(self, run_id: str, after: int = 0, *, max_outage: float | None = None) -> None:
        super().__init__(str(after), max_outage)
        self.run_id = run_id
        self.last = after

    def _take(self, message: Message) -> Event | None:
        event = parse(Event, _read_json(message))
        if event.sequence <= self.last:  # a proxy may have sent something twice
            return None
        self.last = event.sequence
        return event


class FollowedFeed(FollowedStream[FeedEvent]):
    """The events of all runs, which never end. A message `position` has no event, only an id."""

    def __init__(self, after: str = "", *, max_outage: float | None = None) -> None:
        super().__init__(after, max_outage)
        self._last = _read_position(after) if after else -1

    def _take(self, message: Message) -> FeedEvent | None:
        number = _read_position(message.id)
        if message.event == "position":
            self._last = number
        if message.event != "message" or number <= self._last:
            return None
        self._last = number
        return replace(parse(FeedEvent, _read_json(message)), position=message.id)


def _read_position(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise NotUnderstoodError("id")
    return int(text)


def _read_json(message: Message) -> object:
    try:
        return json.loads(message.data)
    except (ValueError, RecursionError):
        raise NotUnderstoodError("data") from None
