"""Services without Django, under several workers of which some are killed: what was answered is counted."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import slots
from tests.exposition import value
from tests.servers.loopback import free_port, is_listening, wait_for

ROOT = Path(__file__).resolve().parents[3]

FASTAPI = """
import sys
sys.modules["django"] = None  # as if it were not installed

from fastapi import FastAPI
from metrics_app import metrics
from metrics_app.asgi import RequestMetrics, exposition

orders = metrics.counter("shop_orders_total", "Orders placed.", labels=("kind",))
app = FastAPI()
app.add_middleware(RequestMetrics)
app.mount("/metrics", exposition)

@app.get("/orders/{kind}")
async def place(kind: str) -> str:
    orders.labels(kind=kind).inc()
    return kind
"""

WSGI = """
import sys
sys.modules["django"] = None

from metrics_app import metrics
from metrics_app.wsgi import RequestMetrics, exposition

orders = metrics.counter("shop_orders_total", "Orders placed.", labels=("kind",))

def answer(environ, start_response):
    if environ["PATH_INFO"] == "/metrics/":
        return exposition(environ, start_response)
    orders.labels(kind="book").inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]

app = RequestMetrics(answer, route=lambda environ: "/orders/{kind}")
"""

SERVERS = {
    "uvicorn": (FASTAPI, ["-m", "uvicorn", "shop:app", "--workers", "2", "--log-level", "warning", "--port"]),
    "gunicorn": (WSGI, ["-m", "gunicorn.app.wsgiapp", "shop:app", "-w", "2", "--no-control-socket", "-b"]),
}


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture(params=SERVERS)
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    program, command = SERVERS[request.param]
    (tmp_path / "shop.py").write_text(program)
    port = free_port()
    address = str(port) if request.param == "uvicorn" else f"127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, *command, address],
        cwd=tmp_path,
        env={
            **{name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "PYTHONPATH": str(ROOT),
            "METRICS_DIRECTORY": str(tmp_path / "metrics"),
        },
        start_new_session=True,
    )
    try:
        wait_for(lambda: is_listening(port), what="the server listens")
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(300)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def test_responses_are_counted_although_a_worker_is_killed(port: int, tmp_path: Path) -> None:
    answered = lost = 0

    def ask() -> bool:
        nonlocal answered, lost
        try:
            status, _ = get(port, "/orders/book")
        except (OSError, http.client.HTTPException):
            lost += 1  # by the worker that was killed, which may have counted it
            return False
        answered += status == 200
        return status == 200

    for number in range(60):
        if number in {20, 40}:
            holders = set(slots.holders(tmp_path / "metrics").values())
            os.kill(holders.pop(), signal.SIGKILL)
        wait_for(ask, what="an order is answered")
    _, text = get(port, "/metrics/")
    assert answered == 60
    for counted in (
        value(text, "http_requests_total", route="/orders/{kind}", code="200"),
        value(text, "shop_orders_total", kind="book"),
    ):
        assert answered <= counted <= answered + lost
    assert value(text, "http_requests_in_progress") == 1
