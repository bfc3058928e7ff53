"""An API that sends scripted responses and records requests."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.serving import serving


@dataclass(frozen=True)
class Answer:
    """`body` is sent as it is if it is bytes, and as JSON otherwise; `cut` ends the connection instead."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def problem(status: int, detail: str, *errors: dict[str, Any], **headers: str) -> Answer:
    body = {"type": "about:blank", "title": "?", "status": status, "detail": detail, "errors": list(errors)}
    return Answer(body, status, {"Content-Type": "application/problem+json", **headers})


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class ScriptedApi(ThreadingHTTPServer):
    """Each response once, in order; the last one repeatedly."""

    daemon_threads = True

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A connection that was cut is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedApi
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.close_connection = True
        if answer.cut:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        # Else the client may send its next request into a connection that is being closed.
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_HEAD = do_OPTIONS = _answer  # noqa: N815 - the names are the server's
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names are the server's

    def log_message(self, *_arguments: Any) -> None:
        """The tests look at `asked`."""


@contextmanager
def scripted_api(*answers: Answer) -> Iterator[ScriptedApi]:
    with serving(ScriptedApi(answers)) as server:
        yield server
