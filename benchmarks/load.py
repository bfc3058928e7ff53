"""Whether the sender of loads keeps its rate and measures correctly, and what it costs.

    python benchmarks/load.py [--seconds 5]

One sender process sends 1,000 and then 2,000 requests/s to nginx on loopback. The lateness of a request is
the time from the moment when it was due until it is written. No Debian release has wrk2, so its method is
reproduced: a second client, with plain blocking sockets, sends at a constant rate to the fault proxy in
front of the same nginx, which delays each response by 50 ms. It notes every latency from the due moment in
a list, and its percentiles are compared with the sender's. Needs nginx (nginx-light); exits with 1 if a
goal is missed.
"""

import argparse
import asyncio
import json
import math
import random
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.fault_proxy import Server, fault_proxy, nginx
from benchmarks.goals import Goals
from scenarios.domain.load_tally import Tally
from scenarios.domain.plan import Load, Step
from scenarios.engine.load_measurements import Measurements
from scenarios.load.process import LoadProcess, LoadProcesses

DELAY = 0.05
REFERENCE_RATE = 200.0
REFERENCE_THREADS = 40
# The rate at which a load of one hour has 10^6 requests, the most that a run sends.
HOURLY_RATE = 277.0
HOUR = 3600.0
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Measured:
    tally: Tally = field(default_factory=Tally)
    cpu_share: float = 0.0
    memory: list[float] = field(default_factory=list)


def build_order(port: int, rate: float, seconds: float) -> dict[str, Any]:
    request: Mapping[str, Any] = {
        "url": f"http://127.0.0.1:{port}/",
        "host": "127.0.0.1",
        "addresses": [["127.0.0.1", port]],
        "is_tls": False,
        "method": "GET",
        "headers": {"User-Agent": "test-coordinator"},
        "query": [],
        "has_json": False,
        "json": None,
        "body": None,
        "ok": None,
    }
    words = {"rate": rate, "timeout": 5.0, "seed": "benchmark", "max_requests": int(rate * seconds)}
    return {"request": request, "choose": {}, **words}


async def measure(port: int, rate: float, seconds: float) -> Measured:
    load = await LoadProcesses().start(build_order(port, rate, seconds))
    assert isinstance(load, LoadProcess)
    process, found = Server("sender", port, load.pid), Measured()
    try:
        await load.read()
        load.enter_phase(0)
        begun, cpu = time.perf_counter(), process.cpu_seconds
        beat = time.perf_counter()
        while (report := await load.read()) is not None:
            for _second, _phase, kept in report["tallies"]:
                found.tally.merge(Tally.from_json(kept))
            if report["is_over"] and not found.tally.pending:
                break
            found.memory.append(process.memory_mib)
            if time.perf_counter() - beat > 1:
                beat = time.perf_counter()
                load.enter_phase(0)
        found.cpu_share = (process.cpu_seconds - cpu) / (time.perf_counter() - begun)
    finally:
        load.kill()
    return found


def measure_plainly(port: int, rate: float, count: int) -> list[float]:
    """Latencies from the due moment, by threads with one blocking connection each."""
    latencies: list[float] = []
    begun = time.perf_counter() + 0.2

    def send(first: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(first, count, REFERENCE_THREADS):
                due = begun + number / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                connection.sendall(REQUEST)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                latencies.append(time.perf_counter() - due)

    threads = [threading.Thread(target=send, args=(first,)) for first in range(REFERENCE_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(latencies)


def find_exact(latencies: list[float], percent: float) -> float:
    return latencies[math.ceil(len(latencies) * percent / 100) - 1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0)
    seconds = arguments.parse_args().seconds
    goals = Goals()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(nginx(Path(folder)))
        for rate, limit in ((1_000.0, 3.0), (2_000.0, 10.0)):
            found = asyncio.run(measure(server.port, rate, seconds))
            late, usual = (found.tally.lateness.find_percentile(percent) or 0.0 for percent in (99, 50))
            goals.at_most(f"p99 of lateness at {rate:,.0f}/s", 1000 * late, limit, "ms")
            goals.tell("    its median", 1000 * usual, "ms")
            goals.tell("    of a core", 100 * found.cpu_share, "%")
            goals.at_most("    errors", found.tally.errors.total() + found.tally.unsent, 0)
        compare_with_plain_client(stack, server, seconds, goals)
        check_memory(server, seconds, goals)
    check_what_is_kept(goals)
    sys.exit(goals.status)


def compare_with_plain_client(stack: ExitStack, server: Server, seconds: float, goals: Goals) -> None:
    proxy = stack.enter_context(fault_proxy(server.port))
    proxy.ask(
        "PUT",
        "/faults/slow",
        {"listener": f"127.0.0.1:{proxy.port}", "lease": 120, "fault": {"latency": DELAY}},
    )
    exact = measure_plainly(proxy.port, REFERENCE_RATE, int(REFERENCE_RATE * seconds))
    found = asyncio.run(measure(proxy.port, REFERENCE_RATE, seconds)).tally
    for percent in (50.0, 95.0):
        measured, other = found.latency.find_percentile(percent) or 0.0, find_exact(exact, percent)
        goals.tell(f"p{percent:.0f} at {REFERENCE_RATE:.0f}/s", 1000 * measured, "ms")
        goals.tell("    the plain client", 1000 * other, "ms")
        goals.at_most(f"difference of p{percent:.0f}", 100 * abs(measured - other) / other, 1.0, "%")


def check_memory(server: Server, seconds: float, goals: Goals) -> None:
    found = asyncio.run(measure(server.port, HOURLY_RATE, 2 * seconds))
    settled = found.memory[len(found.memory) // 2 :]
    growth = (
        max(0.0, settled[-1] - settled[0]) / (len(settled) - 1) * 4
    )  # MiB/s; there are four reports a second
    goals.tell("memory of the sender", settled[-1], "MiB")
    goals.at_most("memory that a load of an hour adds", growth * HOUR, 20.0, "MiB")


def check_what_is_kept(goals: Goals) -> None:
    """What the worker keeps of a load of one hour: in memory while it goes on, and in the database."""
    tracemalloc.start()
    measured = Measurements(Load("shoppers", HOURLY_RATE, Step("http", {})))
    chance = random.Random(1)
    for second in range(int(HOUR)):
        tally = Tally(sent=int(HOURLY_RATE), answered=int(HOURLY_RATE))
        for _ in range(int(HOURLY_RATE)):
            tally.latency.add(chance.lognormvariate(-3, 1))
            tally.lateness.add(chance.expovariate(1000))
        report = {"now": second + 1.0, "phase": second // 600, "is_over": False}
        measured.apply({**report, "tallies": [[second, second // 600, tally.to_json()]]})
    measured.finish()
    goals.at_most(
        "memory that the worker keeps of it", tracemalloc.get_traced_memory()[0] / 2**20, 20.0, "MiB"
    )
    tracemalloc.stop()
    goals.at_most("what is stored of it", len(json.dumps(measured.curve.points)) / 2**20, 2.0, "MiB")


if __name__ == "__main__":
    main()
