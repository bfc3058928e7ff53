"""Parses Server-Sent Events from the bytes of a response.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """`event` is "message" unless the server names another; a comment alone has no data."""

    event: str
    data: str
    id: str


class EventStreamParser:
    """Takes the bytes as they come. `last_id` and `retry` (seconds) stay for the next connection."""

    def __init__(self, last_id: str = "", retry: float = 1.0) -> None:
        self.last_id = last_id
        self.retry = retry
        self._rest = b""
        self._id, self._event = last_id, ""
        self._data: list[str] = []

    def feed(self, content: bytes) -> Iterator[Message]:
        # A line may end with CR LF of two reads, so a CR at the end waits for the next bytes.
        lines = (self._rest + content).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if (message := self._read_line(line.rstrip(b"\r").decode("utf-8", "replace"))) is not None:
                yield message

    def reset(self) -> None:
        """Forget an unfinished message: its connection has broken, and it is sent again."""
        self._rest, self._id, self._event, self._data = b"", self.last_id, "", []

    def _read_line(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value  # not `last_id` yet: the message may never be complete
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry = int(value[:9]) / 1000
        return None

    def _dispatch(self) -> Message | None:
        event, data = self._event or "message", "\n".join(self._data)
        has_data = bool(self._data)
        self._event, self._data = "", []
        self.last_id = self._id
        return Message(event, data, self.last_id) if has_data else None
