"""A service that returns everything it receives, in several encodings."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from tests.servers.serving import serving


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        told = self.headers.get("X-Token", "") or body
        echoed = {
            "plain": told,
            "base64": base64.b64encode(told.encode()).decode(),
            "in an address": quote(told, safe=""),
            "body": body,
        }
        self.answer(json.dumps(echoed, ensure_ascii=False).encode())

    def do_DELETE(self) -> None:
        self.do_POST()

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-You-Said", quote(self.headers.get("X-Token", ""), safe=""))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """The tests' own output stays readable."""


@contextmanager
def running_echo() -> Iterator[str]:
    """Run it, and yield its address."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"
