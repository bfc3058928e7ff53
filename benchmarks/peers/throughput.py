"""Requests per second under wrk: each variant has its own gunicorn, and they are asked in turn."""

import os
import re
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUNICORN = (
    *("-m", "gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads", "4"),
    *("--keep-alive", "60", "--no-control-socket", "benchmarks.peers.wsgi:application"),
)
RATE = re.compile(r"Requests/sec:\s+([\d.]+)")


@contextmanager
def server(python: Path, variant: str, directory: str) -> Iterator[int]:
    """The port of a server that listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        [python, *GUNICORN, "--bind", f"127.0.0.1:{port}"],
        cwd=directory,  # not in the project's folder, where gunicorn finds a configuration
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MEASURED_BY": variant,
            "PROMETHEUS_MULTIPROC_DIR": directory,
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert any("Booting worker" in line for line in process.stderr), f"{variant} does not start"
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=60)


def requests_per_second(port: int, seconds: int) -> float:
    wrk = ["wrk", "-t1", "-c8", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    answer = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in answer, answer
    found = RATE.search(answer)
    assert found is not None, answer
    return float(found[1])


def ratios(
    python: Path, variants: Sequence[str], without: str, rounds: int, seconds: int
) -> dict[str, tuple[float, float]]:
    """Of each variant the requests per second, and their ratio to the one without metrics: medians."""
    rates: dict[str, list[float]] = {variant: [] for variant in variants}
    with ExitStack() as servers:
        ports = {}
        for variant in variants:
            directory = servers.enter_context(tempfile.TemporaryDirectory())
            ports[variant] = servers.enter_context(server(python, variant, directory))
        for port in ports.values():
            requests_per_second(port, 1)  # creates the series
        for number in range(rounds):
            turn = number % len(variants)
            for variant in (*variants[turn:], *variants[:turn]):
                rates[variant].append(requests_per_second(ports[variant], seconds))
    return {
        variant: (
            statistics.median(of_variant),
            statistics.median([rate / base for rate, base in zip(of_variant, rates[without], strict=True)]),
        )
        for variant, of_variant in rates.items()
    }
