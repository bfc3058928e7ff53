"""What a real gunicorn counts is what its clients were answered, however its workers come and go."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import slots
from tests.exposition import Samples, samples

ROOT = Path(__file__).resolve().parents[3]
WORKERS = 4
FILES_PER_SLOT = 4


class Server:
    def __init__(self, process: subprocess.Popen[str], port: int, metrics_directory: Path) -> None:
        self.process = process
        self.port = port
        self.metrics_directory = metrics_directory

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
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
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def gunicorn(data_directory: Path, **environment: str) -> Iterator[Server]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_directory), "PORT": str(port), **environment},
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
        yield Server(process, port, data_directory / "metrics")
    finally:
        process.terminate()
        process.wait(60)
        reader.join()
        log.close()


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
        with ThreadPoolExecutor(4) as pool:
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

    with ThreadPoolExecutor(1) as pool:
        scraping = pool.submit(scrape_on)
        try:
            yield totals
        finally:
            enough.set()
            scraping.result()


def test_every_request_is_counted_once_while_workers_are_replaced_all_the_time(tmp_path: Path) -> None:
    recycled = {"WEB_CONCURRENCY": str(WORKERS), "WEB_MAX_REQUESTS": "50", "WEB_MAX_REQUESTS_JITTER": "10"}
    with gunicorn(tmp_path, **recycled) as server:
        load = Load(server, 2000)
        with scraped_meanwhile(server) as totals:
            load.run()
        assert server.counted() == load.answered
        assert load.failed <= 20
        assert len(totals) >= 10
        files = list((tmp_path / "metrics").glob("*.db"))
        # While a worker ends, its successor runs already: twice as many at most.
        assert len(files) <= 2 * WORKERS * FILES_PER_SLOT


@pytest.mark.parametrize("disturb", [Server.kill_a_worker, Server.reload])
def test_no_count_is_lost_or_made_up_when_workers_die_or_are_reloaded(
    tmp_path: Path, disturb: Callable[[Server], None]
) -> None:
    with gunicorn(tmp_path, WEB_CONCURRENCY=str(WORKERS)) as server:
        load = Load(server, 1000)
        with scraped_meanwhile(server):
            load.run({number: lambda: disturb(server) for number in (100, 300, 500, 700)})
        # What was in flight in a killed worker may have been counted before it was answered.
        assert load.answered <= server.counted() <= load.answered + load.failed
        assert load.failed <= 4 * 8
        assert len(list((tmp_path / "metrics").glob("*.db"))) <= 2 * WORKERS * FILES_PER_SLOT


def test_a_server_that_is_started_again_begins_at_zero(tmp_path: Path) -> None:
    for _ in range(2):
        with gunicorn(tmp_path, WEB_CONCURRENCY="1") as server:
            Load(server, 5).run()
            assert server.counted() == 5


def test_a_server_with_one_worker_keeps_its_counts_when_that_is_replaced(tmp_path: Path) -> None:
    with gunicorn(tmp_path, WEB_CONCURRENCY="1", WEB_MAX_REQUESTS="10") as server:
        load = Load(server, 100)
        load.run()
        assert server.counted() == load.answered
