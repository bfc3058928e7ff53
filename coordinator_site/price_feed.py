"""The price feed of `manage.py up`: an ordinary service, which cannot break itself. Standard library alone.

    GET  /prices, /health

`python -m coordinator_site.price_feed PORT [ADDRESS]` serves it, by default on loopback.
"""

import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWERS = {
    "/prices": {"prices": {"ACME": 42.5, "GLOBEX": 17.25, "INITECH": 3.5}},
    "/health": {"status": "healthy", "service": "price-feed"},
}
ANSWER_SECONDS = 30


class PriceFeed(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # clients keep their connections
    timeout = ANSWER_SECONDS

    def do_GET(self) -> None:
        found = ANSWERS.get(self.path)
        body = json.dumps(found or {"error": f"unknown path {self.path!r}; ask for /prices"}).encode()
        self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing for requests of probes."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: Any) -> None:
        """Ignore broken connections, which the demo is about."""


if __name__ == "__main__":
    port, address, *_ = (*sys.argv[1:], "127.0.0.1")
    Server((address, int(port)), PriceFeed).serve_forever()
