"""Requests per second under wrk, and the processor time of a request: each variant has its own gunicorn.

A server answers the same page with metrics and without: two processes of one program differ by more than what
is measured here. It also answers without metrics a second time, which shows how far two figures differ by
chance. What is asked takes turns in random order, and the servers are restarted for each group of rounds.

A worker can use one processor, so its rate is the inverse of the processor time of a request where nothing
else runs. That time is measured in short blocks, so that a machine that changes its pace, or that is busy,
changes it little.
"""

import asyncio
import math
import os
import random
import re
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
GUNICORN = (
    *("-m", "gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads", "4"),
    *("--keep-alive", "60", "--no-control-socket", "benchmarks.peers.wsgi:application"),
)
RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
REQUESTS = re.compile(r"(\d+) requests in")
WORKER = re.compile(r"Booting worker with pid: (\d+)")
SECONDS_TO_START = 120
MAX_TRIES = 10
Z = 1.96
"""Of a confidence of 95 percent."""
WITH, WITHOUT, AGAIN = PATHS = ("/", "/?without", "/?without=again")
"""What is asked of a server; see benchmarks.peers.site."""
CONNECTIONS = 8
BLOCKS, REQUESTS_A_BLOCK = 20, 160
"""Of each path and group."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Variant(NamedTuple):
    measured_by: str
    many: bool
    """In the mode of many processes, whose libraries write to files."""


class Ratio(NamedTuple):
    median: float
    low: float
    high: float
    """Between these two is the median of ever more groups, with a confidence of 95 percent."""

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


class Measured(NamedTuple):
    """Of each path, in each round or block."""

    rates: dict[str, list[float]]
    cpu_seconds: dict[str, list[float]]
    """Of the worker, per request."""


@contextmanager
def server(python: Path, variant: Variant, directory: str) -> Iterator[tuple[int, int]]:
    """The port of a server that listens, and the process id of its worker."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MEASURED_BY": variant.measured_by}
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if variant.many:
        environment["PROMETHEUS_MULTIPROC_DIR"] = directory
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        [python, *GUNICORN, "--bind", f"127.0.0.1:{port}"],
        cwd=directory,  # not in the project's folder, where gunicorn finds a configuration
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        booted = next(filter(None, map(WORKER.search, process.stderr)), None)
        assert booted is not None, f"{variant} does not start"
        # The worker has a number before it has loaded the site; its first answer also creates the series.
        with urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS_TO_START):
            yield port, int(booted[1])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def measure_rate(port: int, path: str) -> float:
    """One second under wrk; another one if nothing was answered, because a busy machine let neither run."""
    for _ in range(MAX_TRIES):
        wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1s", f"http://127.0.0.1:{port}{path}"]
        answer = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in answer, answer
        rate, requests = RATE.search(answer), REQUESTS.search(answer)
        assert rate is not None, answer
        assert requests is not None, answer
        if int(requests[1]):
            return float(rate[1])
    raise AssertionError(f"the server at port {port} has answered nothing: {answer}")


async def measure_blocks(port: int, worker: int, order: random.Random) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {path: [] for path in PATHS}
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    for _ in range(BLOCKS):
        for path in order.sample(PATHS, len(PATHS)):
            before = cpu_seconds(worker)
            await ask(path, connections)
            found[path].append((cpu_seconds(worker) - before) / REQUESTS_A_BLOCK)
    for _, writer in connections:
        writer.close()
    return found


async def ask(path: str, connections: Sequence[Connection]) -> None:
    """A block of requests over connections that stay open."""
    left = REQUESTS_A_BLOCK

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await reader.readuntil(b"\r\n0\r\n\r\n")  # the end of the chunks

    await asyncio.gather(*(take(*connection) for connection in connections))


def cpu_seconds(process: int) -> float:
    """Of all its threads, which gunicorn keeps as long as the process lives."""
    files = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def measure(
    python: Path, variants: Sequence[Variant], groups: int, rounds_each: int
) -> dict[Variant, Measured]:
    found = {
        variant: Measured({path: [] for path in PATHS}, {path: [] for path in PATHS}) for variant in variants
    }
    order = random.Random(0)
    for _ in range(groups):
        with ExitStack() as running:
            servers = {}
            for variant in variants:
                directory = running.enter_context(tempfile.TemporaryDirectory())
                servers[variant] = running.enter_context(server(python, variant, directory))
            for _ in range(rounds_each):
                for variant in order.sample(list(variants), len(variants)):
                    for path in order.sample(PATHS, len(PATHS)):
                        found[variant].rates[path].append(measure_rate(servers[variant][0], path))
            for variant in variants:
                blocks = asyncio.run(measure_blocks(*servers[variant], order))
                for path, seconds in blocks.items():
                    found[variant].cpu_seconds[path] += seconds
    return found


def ratio(of: Sequence[float], without: Sequence[float], rounds_each: int) -> Ratio:
    """The median over the groups of rounds."""
    rounds = [rate / plain for rate, plain in zip(of, without, strict=True)]
    groups = sorted(
        statistics.median(rounds[begin : begin + rounds_each]) for begin in range(0, len(rounds), rounds_each)
    )
    # The bounds are those of the sign test, which needs no assumption about how figures are distributed.
    outside = max(0, math.floor((len(groups) - Z * math.sqrt(len(groups))) / 2))
    return Ratio(statistics.median(groups), groups[outside], groups[-1 - outside])
