"""The Docker Engine API, which Podman has too, over a Unix socket or TCP.

https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any, Callable, NamedTuple
from urllib.parse import quote

from injector.host.arguments import Refusal

MAX_ENGINE_ANSWER = 16 << 20
ENGINE_SECONDS = 10.0


class EngineAnswer(NamedTuple):
    """`content` is the JSON of the answer; None where it has none."""

    status: int
    content: Any


class Engine:
    """`name` is what sentences call it; `connect` opens a connection within so many seconds.

    `connect` returns an `http.client.HTTPConnection`, whose module takes a while to import.
    """

    def __init__(self, name: str, connect: Callable[[float], Any]) -> None:
        self.name = name
        self._connect = connect

    def get(self, path: str) -> Any:
        """What the engine answers.

        Raises:
            Refusal: it answers an error, or not in time, or not as an engine does.
        """
        answer = self.ask("GET", path)
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise Refusal(self.explain(answer), "failed")
        return answer.content

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = ENGINE_SECONDS
    ) -> EngineAnswer:
        """The answer, whatever its status.

        Raises:
            Refusal: the engine cannot be reached ('not_sent'), or does not answer as one ('failed').
        """
        connection = self._open(seconds)
        # A limit of the whole call: that of the socket begins again with each byte.
        with TimeLimit(connection.sock, seconds) as limit:
            try:
                return self._exchange(connection, method, path, body, limit)
            finally:
                connection.close()

    def explain(self, answer: EngineAnswer) -> str:
        """The sentence for an error that the engine answered."""
        said = answer.content.get("message", "") if isinstance(answer.content, dict) else ""
        reason = " ".join(str(said).split())[:300] or "no reason"
        return f"engine {self.name!r} answered {answer.status}: {reason}"

    def _open(self, seconds: float) -> Any:
        connection = self._connect(seconds)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise Refusal(
                f"engine {self.name!r} cannot be reached: {explain_os_error(error)}", "not_sent"
            ) from error
        return connection

    def _exchange(self, connection: Any, method: str, path: str, body: Any, limit: TimeLimit) -> EngineAnswer:
        text = b"" if body is None else json.dumps(body).encode()
        headers = {"Host": "engine", "Content-Type": "application/json"}
        try:
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            data = response.read(MAX_ENGINE_ANSWER + 1)
        except Exception as error:
            if limit.has_passed or isinstance(error, socket.timeout):
                raise self._refuse(f"gave no answer within {limit.seconds:g} s") from error
            reason = (
                explain_os_error(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            )
            raise self._refuse(f"broke the connection, or does not speak HTTP: {reason}") from error
        if limit.has_passed:  # what was cut off may look whole
            raise self._refuse(f"gave no whole answer within {limit.seconds:g} s")
        if len(data) > MAX_ENGINE_ANSWER:
            raise self._refuse(f"answered more than {MAX_ENGINE_ANSWER} bytes")
        if response.length:  # bytes that were announced and did not come
            raise self._refuse(f"broke the connection {response.length} bytes before the end of its answer")
        is_asked_for = method == "GET"
        return EngineAnswer(response.status, self._parse(data, response.status, is_asked_for))

    def _refuse(self, what: str) -> Refusal:
        return Refusal(f"engine {self.name!r} {what}", "failed")

    def _parse(self, data: bytes, status: int, is_asked_for: bool) -> Any:
        if not data.strip():
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            if status >= 400:  # noqa: PLR2004 - an error may be told in plain text
                return {"message": data[:300].decode("utf-8", "replace")}
            if not is_asked_for:
                return None  # Podman answers some changes with the text OK
            raise self._refuse(f"answered what is not JSON: {data[:60]!r}") from None


def open_unix(path: str) -> Callable[[float], Any]:
    """What connects to the engine's socket of this path."""

    def connect(seconds: float) -> Any:
        import http.client  # noqa: PLC0415 - it takes as long as most calls, which need none

        class UnixConnection(http.client.HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.sock.settimeout(seconds)
                self.sock.connect(path)

        return UnixConnection("engine", timeout=seconds)

    return connect


class TimeLimit:
    """Ends the connection when the seconds have passed, so that its reader goes on."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.seconds = seconds
        self.has_passed = False
        self._connection = connection
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> TimeLimit:  # noqa: PYI034 - Python 3.8 has no Self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.has_passed = True  # before the reader wakes up
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def explain_os_error(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket; is the engine running?"
    if isinstance(error, PermissionError):
        return "this user may not open its socket; add it to the socket's group, such as 'docker'"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; is the engine running?"
    return str(error.strerror or error) or type(error).__name__


def quote_part(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")
