"""Requests per second under wrk: each variant has its own gunicorn, measured in random order.

The servers are restarted for each group of rounds, because two processes of one program differ, too.
Beside the rate stands the processor time that a request took, which other programs on the machine change
less.
"""

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
TICKS = os.sysconf("SC_CLK_TCK")


class Variant(NamedTuple):
    measured_by: str
    many: bool
    """In the mode of many processes, whose libraries write to files."""


class Measured(NamedTuple):
    rate: float
    cpu_seconds: float
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


def measured(port: int, worker: int) -> Measured:
    """One second under wrk; another one if nothing was answered, because a busy machine let neither run."""
    for _ in range(MAX_TRIES):
        before = cpu_seconds(worker)
        wrk = ["wrk", "-t1", "-c8", "-d1s", f"http://127.0.0.1:{port}/"]
        answer = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in answer, answer
        rate, requests = RATE.search(answer), REQUESTS.search(answer)
        assert rate is not None, answer
        assert requests is not None, answer
        if int(requests[1]):
            return Measured(float(rate[1]), (cpu_seconds(worker) - before) / int(requests[1]))
    raise AssertionError(f"the server at port {port} has answered nothing: {answer}")


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rounds(
    python: Path, variants: Sequence[Variant], groups: int, rounds_each: int
) -> dict[Variant, list[Measured]]:
    """What was measured of each variant in each round."""
    found: dict[Variant, list[Measured]] = {variant: [] for variant in variants}
    order = random.Random(0)
    for _ in range(groups):
        with ExitStack() as running:
            servers = {}
            for variant in variants:
                directory = running.enter_context(tempfile.TemporaryDirectory())
                servers[variant] = running.enter_context(server(python, variant, directory))
            for _ in range(rounds_each):
                # In random order, so that none always comes after the same other one.
                for variant in order.sample(list(variants), len(variants)):
                    found[variant].append(measured(*servers[variant]))
    return found


def ratio(of: Sequence[float], without: Sequence[float]) -> float:
    """The median over the rounds."""
    return statistics.median([rate / plain for rate, plain in zip(of, without, strict=True)])
