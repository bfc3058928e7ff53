"""The response times of the API: `python benchmarks/api_load.py [--runs 100000] [--readers 50]`.

On SQLite, or on the database of DATABASE_URL. Measures readiness, pages of many runs, and 200 requests at
once against 4 web processes, with and without readers of event streams. Exits with 1 if a goal is missed.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.api_fuzzing import answers
from tests.servers.api_load import MANY_RUNS, TELL_ON, Clients, percentile, rounds
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for

AT_ONCE = 200
ROUNDS = 5
MAX_SECONDS = 0.050
MAX_RATIO = 5.0
FILTERS = (
    "status=passed",
    "status=running",
    "rollback=dirty",
    "by=ada",
    "scenario=exchange-latency",
    "scenario=exchange-latency&rollback=dirty",
    "by=ada&status=failed",
    "scenario=exchange-latency&status=passed",
    "id=0",
)


@contextmanager
def installation(runs: int) -> Iterator[tuple[Coordinator, Clients, str]]:
    own = {"DATABASE_URL": os.environ["DATABASE_URL"]} if "DATABASE_URL" in os.environ else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        coordinator(Path(folder), WEB_CONCURRENCY="4", **own) as system,
    ):
        system.set_up(exchange="http://127.0.0.1:9")
        admin = "from django.contrib.auth.models import User; User.objects.create_superuser('load')"
        system.manage("shell", "--no-imports", "-c", admin)
        system.manage("shell", "--no-imports", "-c", MANY_RUNS.format(count=runs))
        token = system.manage("api_token", "create", "load", "--name", "load", "--scope", "read").strip()
        system.start("teller", "manage.py", "shell", "--no-imports", "-c", TELL_ON)
        wait_for(lambda: system.find_log("teller").read_text().strip(), what="a run goes on")
        system.start_worker()
        system.start_watchdog()
        system.start_web()
        address = f"http://127.0.0.1:{system.port}/api/v1/ready"
        wait_for(lambda: answers(address), what="everything is ready", seconds=90)
        yield system, Clients(system, token), system.find_log("teller").read_text().strip()


def told(what: str, seconds: list[float], most: float | None = MAX_SECONDS) -> bool:
    p50, p99 = percentile(seconds, 0.5) * 1000, percentile(seconds, 0.99) * 1000
    missed = most is not None and p50 > most * 1000
    print(f"{what:58} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms{'  MISSED' if missed else ''}", flush=True)
    return not missed


async def readiness(clients: Clients) -> bool:
    return told("ready", await clients.one_by_one(100, "ready"))


async def pages(clients: Clients, runs: int) -> bool:
    fine = True
    cursor, number = "", 0
    marks = {0: "first", runs // 400: "middle", runs // 200 - 1: "last"}
    async with clients.session() as session:
        while cursor is not None:
            path = f"runs?limit=200&cursor={cursor}"
            if number in marks:
                page = f"runs?cursor={cursor}"
                fine &= told(f"runs, a page of 50 ({marks[number]})", await clients.one_by_one(30, page))
            async with session.get(clients.base + path) as answer:
                cursor = (await answer.json())["next_cursor"]
            number += 1
    print(f"{'all pages of 200':58} {number}")
    for words in FILTERS:
        fine &= told(f"runs?{words}", await clients.one_by_one(20, f"runs?{words}"))
    return fine


async def streams(clients: Clients, run: str, readers: int) -> bool:
    fine = True
    for plain in ("health", "runs", f"runs/{run}"):
        ask = partial(clients.at_once, AT_ONCE, plain)
        await ask()
        alone = await rounds(ask, ROUNDS)
        told(f"{AT_ONCE} at once of {plain[:20]}", alone, None)
        for wait in (0, 20):
            async with clients.reading(readers, f"runs/{run}/events?wait={wait}") as reading:
                begun = time.perf_counter()
                beside = await rounds(ask, ROUNDS)
                took = time.perf_counter() - begun
            times = percentile(beside, 0.99) / percentile(alone, 0.99)
            for failure in {failure for reader in reading for failure in reader.failures}:
                print(f"    {failure}")
            failures = [failure for reader in reading for failure in reader.failures]
            gaps = sum(reader.gaps for reader in reading)
            told(f"  beside {readers} readers (wait={wait})", beside, None)
            answers = sum(reader.answers for reader in reading)
            failed = f"{len(failures)} failed, {gaps} events missing"
            print(f"    p99 × {times:.2f}; in {took:.1f} s {answers} answers, {failed}", flush=True)
            fine &= times <= MAX_RATIO and not failures and not gaps
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=50)
    options = parser.parse_args()
    with installation(options.runs) as (_system, clients, run):
        fine = asyncio.run(readiness(clients))
        fine &= asyncio.run(pages(clients, options.runs))
        fine &= asyncio.run(streams(clients, run, options.readers))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
