"""`manage.py serve_metrics` exposes what the task workers of a host record."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from metrics_app.scrape_server import AT_ONCE
from tests.exposition import samples, value
from tests.other_process import OtherProcess

ROOT = Path(__file__).resolve().parents[3]


def command(data_directory: Path, port: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "serve_metrics", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_directory), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(data_directory: Path, **environment: str) -> Iterator[int]:
    """The port it serves at, until it is told to end."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with command(data_directory, port, **environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line == f"Metrics are at http://127.0.0.1:{port}/metrics\n"
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(300) == os.EX_OK


def ask(port: int, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_only_recordings_of_other_processes_are_exposed(tmp_path: Path) -> None:
    with serving(tmp_path) as port, OtherProcess(tmp_path / "metrics"):
        status, text = ask(port)
        assert (status, value(text, "orders_total")) == (200, 1)
        assert {dict(labels)["worker"] for labels in samples(text)["process_threads"]} == {"0", "1"}
        assert ask(port, method="HEAD") == (200, b"")
        assert ask(port, "/admin/")[0] == ask(port, "/")[0] == 404


def test_the_token_is_asked_for_here_too(tmp_path: Path) -> None:
    with serving(tmp_path, METRICS_TOKEN="right") as port:
        assert ask(port) == (401, b"")
        assert ask(port, Authorization="Bearer right")[0] == 200


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with command(tmp_path, port) as process:
            _, error = process.communicate(timeout=300)
    assert process.returncode == 1
    assert error == (
        f"CommandError: --port={port} is taken on 127.0.0.1: another process listens there; "
        f"choose another port.\n"
    )


@pytest.mark.parametrize("port", [0, 65536])
def test_an_invalid_port_is_refused(tmp_path: Path, port: int) -> None:
    with command(tmp_path, port) as process:
        _, error = process.communicate(timeout=300)
    assert process.returncode == 1
    assert f"--port={port} is not a port" in error


def test_clients_that_say_nothing_do_not_make_it_grow(tmp_path: Path) -> None:
    with serving(tmp_path) as port:
        with ExitStack() as silent:
            for _ in range(AT_ONCE):
                silent.enter_context(socket.create_connection(("127.0.0.1", port)))
            one_more = silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            assert one_more.recv(1) == b"", "it is turned away at once"
        answered = None
        while answered != 200:  # as soon as it has seen that the others are gone
            try:
                answered, _ = ask(port)
            except (ConnectionError, http.client.HTTPException):
                continue
