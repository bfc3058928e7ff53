"""A shop of somebody's own that waits for its price list without any limit."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.serving import serving

# Longer than any test of it, and an end for a test that is given up.
MAX_WAIT = 60.0


@contextmanager
def running_careless_shop(prices: str) -> Iterator[str]:
    """Its address. Each page that it shows needs the list at the address `prices`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                with urllib.request.urlopen(prices, timeout=MAX_WAIT) as answer:
                    status, body = 200, answer.read()
            except OSError:
                status, body = 503, b""
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                """Who asked has gone."""

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"
