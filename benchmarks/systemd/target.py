"""A service to break, with a pid file: POST injects a fault, DELETE undoes all, GET says how many."""

import http.server
import os
import sys
from pathlib import Path

faults = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer(1)

    def do_DELETE(self) -> None:
        self.answer(-faults)

    def answer(self, change: int = 0) -> None:
        global faults  # noqa: PLW0603 - the service's whole state
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        faults += change
        body = str(faults).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """The journal is read for other lines."""


Path(sys.argv[2]).write_text(str(os.getpid()))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
