"""A receiver of messages about runs: keeps every request, and responds as badly as a test wants."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

MAX_HANG = 30.0


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """`statuses` are those of the next responses, the last one repeatedly, with `headers` and `body`.

    `certificate`: for localhost, with its key; then it speaks TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.statuses = [200]
        self.headers: dict[str, str] = {}
        self.body = b"{}"
        self.hangs = False
        self.over = threading.Event()
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if certificate is not None:
            secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            secured.load_cert_chain(certificate)
            self._server.socket = secured.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def take(self, request: Request) -> int:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            status = self.statuses[0]
            if len(self.statuses) > 1:
                self.statuses.pop(0)
        if self.hangs:
            self.over.wait(MAX_HANG)
        return status

    def wait_for(self, requests: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= requests, 30), self.requests

    def messages(self) -> list[Any]:
        return [request.json() for request in self.requests]

    @contextmanager
    def listening(self) -> Iterator["Receiver"]:
        self._thread.start()
        try:
            yield self
        finally:
            self.over.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Request(self.command, self.path, headers, body))
            try:
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.body)))
                self.end_headers()
                self.wfile.write(receiver.body)
            except ConnectionError:
                self.close_connection = True  # it waited no longer

        do_POST = do_GET  # noqa: N815 - the server's own name

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    return Handler
