"""A shop that chooses the ids of its orders: POST /orders, GET and DELETE /orders/ID."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.serving import serving


@dataclass
class Orders:
    """`prefix` begins each id; `placed` and `open` are ids."""

    prefix: str = "n"
    port: int = 0
    placed: list[str] = field(default_factory=list)
    open: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running_orders() -> Iterator[Orders]:
    orders = Orders()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            order = f"{orders.prefix}{len(orders.placed) + 1}"
            orders.placed.append(order)
            orders.open.add(order)
            self.answer(201, {"id": order})

        def do_GET(self) -> None:
            order = self.path.rpartition("/")[2]
            is_known = order in orders.open or self.path == "/"
            self.answer(200 if is_known else 404, {"id": order})

        def do_DELETE(self) -> None:
            order = self.path.rpartition("/")[2]
            is_known = order in orders.open
            orders.open.discard(order)  # before the answer, after which tests look
            self.answer(200 if is_known else 404, {})

        def answer(self, status: int, body: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    orders.port = server.server_port
    with serving(server):
        yield orders
