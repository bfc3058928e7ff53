"""A real gunicorn, ways to disturb it, and clients that keep count of what it answers."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from metrics_app.adapters.prometheus import slots
from tests.exposition import Samples, samples

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = 4
SECONDS_TO_START = 300


class Log:
    """What the server says, read to the end, or the server would block on a full pipe."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, text: str, times: int) -> None:
        def said() -> bool:
            return self._ended or sum(text in line for line in self._lines) >= times

        with self._changed:
            assert self._changed.wait_for(said, SECONDS_TO_START), f"{text!r} was not said {times} times"
            assert not self._ended, "the server has ended: " + "".join(self._lines)

    def lines(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    def join(self) -> None:
        self._reader.join()
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Server:
    def __init__(self, process: subprocess.Popen[str], log: Log, port: int, data_directory: Path) -> None:
        self._process = process
        self._pid_file = data_directory / "gunicorn.pid"
        self.port = port
        self._upgrades = 0
        self.log = log
        self.metrics_directory = data_directory / "metrics"

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def scrape(self) -> Samples:
        status, text = self.get("/metrics")
        assert status == 200
        return samples(text)

    def counted(self) -> float:
        return sum(self.scrape().get("http_requests_total", {}).values())

    def kill_a_worker(self) -> None:
        os.kill(next(iter(slots.holders(self.metrics_directory).values())), signal.SIGKILL)

    def reload(self) -> None:
        os.kill(self._master(), signal.SIGHUP)

    def upgrade(self) -> None:
        """Have another master started from the files as they are now, and end the old one."""
        old = self._master()
        os.kill(old, signal.SIGUSR2)
        self._upgrades += 1
        self.log.wait_for("Listening at", 1 + self._upgrades)
        os.kill(old, signal.SIGTERM)

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(300)
        # The log ends when the last process of the group has ended, a second master among them.
        self.log.join()

    def _master(self) -> int:
        return int(self._pid_file.read_text())


@contextmanager
def gunicorn(data_directory: Path, options: Iterable[str] = (), **environment: str) -> Iterator[Server]:
    """A server with the product's configuration; `options` are gunicorn's, from the command line."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        # Not by `python -m`: at USR2 it would start itself again as a file in its own package, whose
        # `http` then hides the standard library's.
        [Path(sys.executable).with_name("gunicorn"), "--pid", str(data_directory / "gunicorn.pid"), *options],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_directory), "PORT": str(port), **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    server = Server(process, Log(process.stderr), port, data_directory)
    try:
        server.log.wait_for("Listening at", 1)
        yield server
    finally:
        server.stop()


class Load:
    """Asks for the home page from several threads and counts what was answered."""

    def __init__(self, server: Server, requests: int) -> None:
        self._server = server
        self._requests = requests
        self._lock = threading.Lock()
        self.answered = 0
        self.failed = 0

    def run(self, at: dict[int, Callable[[], None]] | None = None) -> None:
        """Ask `requests` times; `at` tells what is done when so many were answered."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(self._ask, at or {}) for _ in range(self._requests)]:
                done.result()

    def _ask(self, at: dict[int, Callable[[], None]]) -> None:
        try:
            status, _ = self._server.get("/")
        except (ConnectionError, http.client.HTTPException):
            with self._lock:
                self.failed += 1
            return
        assert status == 302
        with self._lock:
            self.answered += 1
            disturb = at.get(self.answered)
        if disturb is not None:
            disturb()


@contextmanager
def scraped_meanwhile(server: Server) -> Iterator[list[float]]:
    """The totals of the scrapes meanwhile, each of whose counters was compared with the one before."""
    totals: list[float] = []
    enough = threading.Event()

    def scrape_on() -> None:
        before: Samples = {}
        while not enough.is_set():
            try:
                now = server.scrape()
            except (ConnectionError, http.client.HTTPException):
                continue  # the scrape met a worker that was killed
            for name in (name for name in before if name.endswith(("_total", "_bucket", "_count"))):
                for labels, value in before[name].items():
                    # The runtime of a worker is shown while it lives, every other series for good.
                    missing = value if "worker" in dict(labels) else -1
                    assert now[name].get(labels, missing) >= value, f"{name} {sorted(labels)} fell"
            totals.append(sum(now.get("http_requests_total", {}).values()))
            before = now
            enough.wait(0.05)  # the workers need the processor, too

    with ThreadPoolExecutor(1) as pool:
        scraping = pool.submit(scrape_on)
        try:
            yield totals
        finally:
            enough.set()
            scraping.result()
