"""Finds the messages of HTTP/1.1 in the bytes of one direction, and keeps the bytes as they were sent.

h11 finds where each part ends, but writes nothing itself, so that a message without a fault passes unchanged
to the last byte.
"""

import re
from enum import Enum, auto
from http import HTTPStatus
from typing import NamedTuple

import h11

# The maximum size of a head; a longer one is passed on unread, like everything that is not HTTP/1.1.
MAX_HEAD = 64 * 1024
# How much the parser gets at once: after each part of a message, it copies what it has left.
_PIECE = 16 * 1024


class Kind(Enum):
    HEAD = auto()
    INTERIM = auto()
    """The head of a response before the response, such as 100."""
    BODY = auto()
    END = auto()
    """It may have bytes: the end of a chunked body."""


class Part(NamedTuple):
    kind: Kind
    raw: bytes
    head: h11.Request | h11.Response | h11.InformationalResponse | None = None


class UnreadableError(ValueError):
    """The bytes are not HTTP/1.1, or less strict than h11 requires."""


class Messages:
    """The messages of one direction, one after another."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._parser: h11.Connection | None = None
        self._parsed = 0
        """How many of the first bytes the parser has."""

    def feed(self, data: bytes) -> None:
        self._raw += data

    @property
    def size(self) -> int:
        """The number of bytes that are here, and not in a part yet."""
        return len(self._raw)

    @property
    def is_between(self) -> bool:
        """Whether no byte of a message has arrived yet."""
        return self._parser is None and not self._raw

    def begin_request(self) -> bool:
        """Begin a message, if a byte of it has arrived."""
        if self._parser is None and self._raw:
            self._begin(h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD))
        return self._parser is not None

    def begin_response(self, request: h11.Request) -> bool:
        """The same for the response to a request, which decides whether it has a body."""
        if self._parser is None and self._raw:
            parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
            asked = [("Host", "upstream")]
            if is_upgrade(request):
                asked += [("Connection", "Upgrade"), ("Upgrade", "any")]
            parser.send(h11.Request(method=request.method, target=b"*", headers=asked))
            parser.send(h11.EndOfMessage())
            self._begin(parser)
        return self._parser is not None

    def next(self) -> Part | None:
        """The next part of the message that was begun; None until more bytes have arrived.

        Raises:
            UnreadableError: the rest can only be passed on, by `take_rest`.
        """
        parser = self._parser
        if parser is None:
            return None
        try:
            while (event := parser.next_event()) in (h11.NEED_DATA, h11.PAUSED):
                if not self._feed_parser(parser):
                    return None
        except (h11.ProtocolError, RuntimeError) as error:
            raise UnreadableError(str(error)) from error
        left = len(parser.trailing_data[0])
        size = self._parsed - left
        raw = bytes(self._raw[:size])
        del self._raw[:size]
        self._parsed = left
        if isinstance(event, h11.EndOfMessage):
            self._parser = None
            return Part(Kind.END, raw)
        if isinstance(event, h11.InformationalResponse):
            return Part(Kind.INTERIM, raw, event)
        if isinstance(event, h11.Request | h11.Response):
            return Part(Kind.HEAD, raw, event)
        return Part(Kind.BODY, raw)

    def take_rest(self) -> bytes:
        raw, self._raw, self._parser = bytes(self._raw), bytearray(), None
        return raw

    def _begin(self, parser: h11.Connection) -> None:
        self._parser, self._parsed = parser, 0

    def _feed_parser(self, parser: h11.Connection) -> bool:
        """Whether there was more for it."""
        piece = bytes(self._raw[self._parsed : self._parsed + _PIECE])
        if piece:
            parser.receive_data(piece)
            self._parsed += len(piece)
        return bool(piece)


def is_upgrade(request: h11.Request) -> bool:
    """Whether bytes other than HTTP may follow, if the server agrees."""
    return request.method == b"CONNECT" or any(name == b"upgrade" for name, _ in request.headers)


def is_switch(request: h11.Request, response: h11.Response | h11.InformationalResponse) -> bool:
    """Whether bytes other than HTTP follow this response."""
    if request.method == b"CONNECT":
        return 200 <= response.status_code < 300  # noqa: PLR2004 - a class of status codes
    return response.status_code == HTTPStatus.SWITCHING_PROTOCOLS


def is_kept_alive(request: h11.Request) -> bool:
    options = {
        option.strip().lower()
        for name, value in request.headers
        if name == b"connection"
        for option in value.split(b",")
    }
    return b"close" not in options and (request.http_version >= b"1.1" or b"keep-alive" in options)


def waits_for_continue(request: h11.Request) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in request.headers)


def write_answer(
    request: h11.Request, status: int, body: bytes, headers: list[tuple[str, str]], *, closes: bool
) -> tuple[bytes, bytes]:
    """The head and the body of the proxy's own response."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    named = {name.lower() for name, _ in headers}
    has_body = status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
    own = [("Content-Type", "text/plain; charset=utf-8")] if body and has_body else []
    own += [("Content-Length", str(len(body)))] if has_body else []
    own += [("Connection", "close")] if closes else []
    lines += [f"{name}: {value}" for name, value in own if name.lower() not in named]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head, body if has_body and request.method != b"HEAD" else b""


def set_headers(head: bytes, headers: list[tuple[str, str]]) -> bytes:
    """The head of a response with these headers instead of those of the same name."""
    first, *lines = re.split(rb"\r?\n", head.rstrip(b"\r\n"))  # h11 takes lines without CR, too
    named = {name.lower().encode("latin-1") for name, _ in headers}
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in named]
    new = [f"{name}: {value}".encode("latin-1") for name, value in headers]
    return b"\r\n".join([first, *kept, *new, b"", b""])
