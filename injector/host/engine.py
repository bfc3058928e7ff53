"""The Docker Engine API, which Podman has too, over a Unix socket or TCP.

https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
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
        timer = threading.Timer(seconds, shut, [connection.sock])
        timer.daemon = True
        timer.start()
        try:
            return self._exchange(connection, method, path, body, seconds)
        finally:
            timer.cancel()
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

    def _exchange(self, connection: Any, method: str, path: str, body: Any, seconds: float) -> EngineAnswer:
        began = time.monotonic()
        text = b"" if body is None else json.dumps(body).encode()
        headers = {"Host": "engine", "Content-Type": "application/json"}
        try:
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            data = response.read(MAX_ENGINE_ANSWER + 1)
        except Exception as error:
            if time.monotonic() - began >= seconds - 0.05 or isinstance(error, socket.timeout):
                raise Refusal(
                    f"engine {self.name!r} gave no answer within {seconds:g} s", "failed"
                ) from error
            reason = (
                explain_os_error(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            )
            raise Refusal(
                f"engine {self.name!r} broke the connection, or is none: {reason}", "failed"
            ) from error
        if time.monotonic() - began >= seconds:  # what was cut off may look whole
            raise Refusal(f"engine {self.name!r} gave no whole answer within {seconds:g} s", "failed")
        if len(data) > MAX_ENGINE_ANSWER:
            raise Refusal(f"engine {self.name!r} answered more than {MAX_ENGINE_ANSWER} bytes", "failed")
        return EngineAnswer(response.status, self._parse(data, response.status))

    def _parse(self, data: bytes, status: int) -> Any:
        if not data.strip():
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            if status >= 400:  # noqa: PLR2004 - an error may be told in plain text
                return {"message": data[:300].decode("utf-8", "replace")}
            raise Refusal(
                f"engine {self.name!r} answered what is not JSON: {data[:60]!r}", "failed"
            ) from None


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


def shut(connection: socket.socket) -> None:
    """End the connection, so that its reader goes on."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


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
