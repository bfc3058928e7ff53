"""What requests, the watchdog's look and the retention take among the rows that are there."""

import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.db import connection
from django.test import Client
from django.utils import timezone

from benchmarks.goals import Goals
from benchmarks.rows.fill import FAULTS_LEFT, RETENTION_DAYS, create_reader
from scenarios.access import tokens
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.supervision import retention, watchdog

# Milliseconds.
SERVICES_GOAL, FAULTS_GOAL, LOOK_GOAL, OLD_RUNS_GOAL, WRITER_GOAL = 50.0, 5.0, 5.0, 76.0, 500.0
HOME_GOAL = 60.0
# Times as long as an empty list: what is left of a busy machine, which makes both slower.
AGAINST_EMPTY_GOAL = 1.5
RUNS_AT_ONCE = watchdog.RUNS_PRUNED_AT_ONCE
WRITER_REST_SECONDS = 0.005
R = TypeVar("R")


class Measured:
    """Milliseconds of many calls: of this thread's processor time, and on the wall."""

    def __init__(self) -> None:
        self._cpu: list[float] = []
        self._wall: list[float] = []

    def call(self, function: Callable[[], R]) -> R:
        cpu, wall = time.thread_time(), time.perf_counter()
        result = function()
        self._wall.append((time.perf_counter() - wall) * 1000)
        self._cpu.append((time.thread_time() - cpu) * 1000)
        return result

    @property
    def cpu(self) -> float:
        return statistics.median(self._cpu)

    @property
    def wall(self) -> float:
        return statistics.median(self._wall)

    def judge(self, goals: Goals, what: str, goal: float) -> None:
        """SQLite works in this thread; what PostgreSQL does meanwhile only the wall time tells."""
        if connection.vendor == "sqlite":
            goals.at_most(f"{what}: processor, p50", self.cpu, goal, "ms")
            goals.tell(f"{what}: wall, p50", self.wall, "ms")
        else:
            goals.at_most(f"{what}: wall, p50", self.wall, goal, "ms")

    def tell(self, goals: Goals, what: str) -> None:
        goals.tell(f"{what}: processor, p50", self.cpu, "ms")
        goals.tell(f"{what}: wall, p50", self.wall, "ms")


def measure_requests(goals: Goals, times: int) -> None:
    """Each asked for in turn with a list that is empty."""
    user = create_reader("benchmark")
    page = Client(headers={"Host": "localhost"})
    page.force_login(user, "django.contrib.auth.backends.ModelBackend")
    _token, secret = tokens.create_token(user, "benchmark", ["read"])
    api = Client(headers={"Host": "localhost", "Authorization": f"Bearer {secret}"})
    asked = {
        "GET /faults, an empty list": (api, f"/api/v1/faults?run={uuid.uuid4()}", None),
        "GET /services": (api, "/api/v1/services", SERVICES_GOAL),
        "the page of services": (page, "/admin/scenarios/service/", SERVICES_GOAL),
        "Home": (page, "/admin/", HOME_GOAL),
        "GET /faults?outstanding=true": (api, "/api/v1/faults?outstanding=true", FAULTS_GOAL),
    }
    found = {what: Measured() for what in asked}
    for what, (client, address, _goal) in asked.items():
        assert client.get(address).status_code == 200, what
    for _ in range(times):
        for what, (client, address, _goal) in asked.items():
            answer = found[what].call(partial(client.get, address))
            assert answer.status_code == 200, what
    left = api.get("/api/v1/faults?outstanding=true").json()["items"]
    assert len(left) == FAULTS_LEFT
    for what, (_client, _address, goal) in asked.items():
        if goal is None:
            found[what].tell(goals, what)
        else:
            found[what].judge(goals, what, goal)
    outstanding, empty = found["GET /faults?outstanding=true"], found["GET /faults, an empty list"]
    goals.at_most(
        "the same, times as long as the empty list", outstanding.cpu / empty.cpu, AGAINST_EMPTY_GOAL
    )


def measure_look(goals: Goals, times: int) -> None:
    """What the watchdog looks for each second."""
    held, due = Measured(), Measured()
    for _ in range(times):
        held.call(watchdog.list_held_runs)
        due.call(watchdog.list_runs_with_due_faults)
    held.judge(goals, "the watchdog's look for runs that are held", LOOK_GOAL)
    due.judge(goals, "its look for faults that are due", LOOK_GOAL)


def measure_retention(goals: Goals, batches: int) -> None:
    """Delete what is old, batch by batch as the watchdog does, beside somebody who writes."""
    before = timezone.now() - timedelta(days=RETENTION_DAYS)
    old = retention.select_old_runs(before).count()
    looks, deletions = Measured(), Measured()
    for _ in range(batches):
        looks.call(lambda: retention.find_old_runs(before, 100))
    deleted = 0
    with beside_a_writer() as waits:
        for _ in range(batches):
            deleted += deletions.call(lambda: retention.prune(before, at_most=RUNS_AT_ONCE))
            time.sleep(watchdog.PRUNE_REST_SECONDS)
    assert deleted == min(old, batches * RUNS_AT_ONCE)
    assert retention.select_old_runs(before).count() == old - deleted
    looks.judge(goals, f"finding 100 of {old} old runs", OLD_RUNS_GOAL)
    deletions.tell(goals, f"deleting {RUNS_AT_ONCE} of them")
    goals.at_most(f"another writer waits, longest of {len(waits)}", max(waits), WRITER_GOAL, "ms")
    each = deletions.wall / 1000 + watchdog.PRUNE_REST_SECONDS
    goals.tell("deleting all of them, at this pace", old / RUNS_AT_ONCE * each / 60, "min")


@contextmanager
def beside_a_writer() -> Iterator[list[float]]:
    """How many milliseconds each write takes of somebody who writes a row again and again meanwhile."""
    waits: list[float] = []
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            record_heartbeat("benchmark", "writer")
            waits.append((time.perf_counter() - begun) * 1000)
            over.wait(WRITER_REST_SECONDS)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield waits
    finally:
        over.set()
        writer.join()
