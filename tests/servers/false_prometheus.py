"""A fake Prometheus with scripted responses, or none."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Form = dict[str, str]
Reply = Callable[[Form], tuple[int, bytes]]
MAX_HANG = 30.0


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> tuple[int, bytes]:
    found = [{"metric": labels, "values": samples} for labels, samples in series]
    data = {"resultType": "matrix", "result": found}
    return 200, json.dumps({"status": "success", "data": data}).encode()


def steadily(value: str) -> Reply:
    """One series, with this value at each step."""

    def reply(form: Form) -> tuple[int, bytes]:
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        moments = [start + number * step for number in range(int((end - start) / step) + 1)]
        return matrix(({}, [(moment, value) for moment in moments]))

    return reply


class FalsePrometheus:
    """`asked` holds the form of every request; with `hangs`, it accepts requests and does not respond."""

    def __init__(self) -> None:
        self.reply: Reply = steadily("1")
        self.hangs = False
        self.asked: list[Form] = []
        self.was_asked = threading.Event()
        self.over = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.over.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class Server(ThreadingHTTPServer):
    owner: FalsePrometheus

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that has gone away is what some tests want."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        owner = self.server.owner
        owner.asked.append(form)
        owner.was_asked.set()
        if owner.hangs:
            owner.over.wait(MAX_HANG)
            return
        status, answer = owner.reply(form)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: Any) -> None:
        """The tests' own output stays readable."""


@contextmanager
def false_prometheus() -> Iterator[FalsePrometheus]:
    server = FalsePrometheus()
    server.start()
    try:
        yield server
    finally:
        server.stop()
