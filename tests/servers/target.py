"""A service for complete runs to break: it counts injections, and the path chooses a bad response."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HUGE_BODY = 10 * 1024 * 1024
MAX_HANG = 30.0
# Quoted in part, so that the cut is marked by a character beyond ASCII.
LONG_REFUSAL = b"it is not possible now: " + b"x" * 2000
BODIES = {
    "/health": b'{"status": "healthy"}',
    "/odd": rb'{"text": "NUL \u0000 half \ud83d"}',
}


class Target:
    """POST /fault injects, DELETE /fault undoes it; `active` counts those that are injected.

    With `gateway_status`, the response to a POST has that status, as from a gateway that gave up, and nothing
    is injected. Injections take effect `late_by` seconds later, and /calm returns 503 from then on.
    `looks` counts its responses, and `calm_looks` those with 200.
    """

    def __init__(self, address: str) -> None:
        self.active = 0
        self.injected = 0
        self.undone = 0
        self.undone_at = 0.0
        self.refuse_undo = False
        self.undo_status = 200
        self.gateway_status = 0
        self.asked = 0
        self.looks = 0
        self.calm_looks = 0
        self.late_by = 0.0
        self.over = threading.Event()
        self._server = Server((address, 0), Handler)
        self._server.target = self
        self.url = f"http://{address}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Server(ThreadingHTTPServer):
    target: Target

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that has gone away is what many tests want."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        if self.path == "/late":
            self.server.target.over.wait(MAX_HANG)
            self.close_connection = True
        elif self.path == "/calm":
            self.server.target.looks += 1
            self.server.target.calm_looks += not self.server.target.asked
            self.answer(503 if self.server.target.asked else 200)
        elif self.path == "/garbage":
            self.wfile.write(b"\x00\xff no HTTP at all\r\n\r\n")
            self.close_connection = True
        elif self.path == "/huge":
            self.answer(200, b"x" * HUGE_BODY)
        else:
            self.answer(200 if self.path in BODIES else 404, BODIES.get(self.path, b""))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.server.target
        target.asked += 1
        if target.gateway_status:
            return self.answer(target.gateway_status)
        # It finishes the request even if the client has hung up.
        target.over.wait(target.late_by)
        target.active += 1
        target.injected += 1
        return self.answer(201)

    def do_DELETE(self) -> None:
        target = self.server.target
        if target.refuse_undo:
            return self.answer(503, LONG_REFUSAL)
        if target.undo_status != 200:
            return self.answer(target.undo_status)
        target.undone += 1
        target.undone_at = time.monotonic()
        target.active = 0
        return self.answer(200)

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """The tests' own output stays readable."""


@contextmanager
def running_target(address: str = "127.0.0.1") -> Iterator[Target]:
    target = Target(address)
    target.start()
    try:
        yield target
    finally:
        target.stop()
