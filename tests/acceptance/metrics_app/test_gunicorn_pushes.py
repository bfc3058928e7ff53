"""A real gunicorn with the OpenTelemetry adapter loses no request when its workers come and go."""

import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exposition import value
from tests.otlp_receiver import Receiver

ROOT = Path(__file__).resolve().parents[3]
BACKEND = "metrics_app.adapters.opentelemetry.OpenTelemetryMetricsAdapter"
REQUESTS = 120


@contextmanager
def gunicorn(data: Path, *options: str, **environment: str) -> Iterator[int]:
    """The port of a server that is stopped, and all of whose workers have ended, afterwards."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *options],
        cwd=ROOT,
        env={
            **os.environ,
            "DATA_DIR": str(data),
            "PORT": str(port),
            "METRICS_BACKEND": BACKEND,
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    log = process.stderr
    assert any("Listening at" in line for line in log), "gunicorn does not start"
    # Its log is read to the end, or it would block on a full pipe.
    reader = threading.Thread(target=log.read)
    reader.start()
    try:
        yield port
    finally:
        process.terminate()
        process.wait(300)
        reader.join()
        log.close()


def ask(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each loads", "preloaded"])
def test_every_request_arrives_although_workers_are_replaced_and_stopped(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    recycled = {"WEB_CONCURRENCY": "2", "WEB_MAX_REQUESTS": "40", "WEB_MAX_REQUESTS_JITTER": "10"}
    with Receiver().listening() as receiver:
        push = {
            "METRICS_BACKEND": BACKEND,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "NO_PROXY": "127.0.0.1",
        }
        with gunicorn(tmp_path, *options, **recycled, **push) as port:
            answers = [ask(port) for _ in range(REQUESTS)]
        exposition = receiver.exposition()
    assert answers == [302] * REQUESTS
    assert value(exposition, "http_requests_total", code="302") == REQUESTS
    assert value(exposition, "http_request_duration_seconds_count") == REQUESTS
    assert value(exposition, "http_requests_in_progress") == 0
    assert len(receiver.newest()) >= REQUESTS // 50
