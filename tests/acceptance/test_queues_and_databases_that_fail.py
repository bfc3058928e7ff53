"""Whatever becomes of the queue or of a database connection: no run is lost, and no fault waits for it."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.redis_server import Redis, redis_server
from tests.servers.target import Target, running_target

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
LEASE_SECONDS = 5.0
QUEUE_RUNS = """
from scenarios.runs.commands import start_run
document = '''
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: short}}
spec: {{phases: [{{name: p, actions: [{{name: wait, do: {{wait: {{duration: 10ms}}}}}}]}}]}}
'''
for _ in range({runs}):
    start_run(document, {{}}, origin="cli")
"""
# What no coordinator knows of: the connections of everybody else, as a restart or a proxy between cuts them.
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
)


class Installation:
    def __init__(self, system: Coordinator, redis: Redis, database: str) -> None:
        self.system = system
        self.redis = redis
        self._connection = psycopg.connect(database, autocommit=True)

    def ask(self, query: LiteralString, *values: str) -> list[tuple[object, ...]]:
        return self._connection.execute(query, values).fetchall()

    def cut_connections(self) -> int:
        own = self._connection.info.backend_pid
        return len(self._connection.execute(CUT, [own]).fetchall())

    def queue_runs(self, number: int) -> None:
        self.system.manage("shell", "--no-imports", "-c", QUEUE_RUNS.format(runs=number))

    def outcomes(self) -> set[object]:
        return {row[0] for row in self.ask("SELECT outcome FROM scenarios_run WHERE scenario_name = 'short'")}

    def seen_at(self, name: str) -> object:
        rows = self.ask("SELECT seen_at FROM scenarios_heartbeat WHERE name = %s", name)
        return rows[0][0] if rows else None

    def log_lines(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.system.find_log(name).read_text().splitlines()]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture(params=["db", "rq"])
def installed(request: pytest.FixtureRequest, tmp_path: Path, target: Target) -> Iterator[Installation]:
    yield from install(request, tmp_path, target, request.param)


@pytest.fixture
def on_redis(request: pytest.FixtureRequest, tmp_path: Path, target: Target) -> Iterator[Installation]:
    yield from install(request, tmp_path, target, "rq")


def install(
    request: pytest.FixtureRequest, tmp_path: Path, target: Target, queue: str
) -> Iterator[Installation]:
    database = request.getfixturevalue("postgresql_server").new_database()
    options = {"TASK_BACKEND": queue, "LEASE_SECONDS": str(int(LEASE_SECONDS)), "MAX_CONCURRENT_RUNS": "100"}
    with redis_server(tmp_path) as redis:
        options["REDIS_URL"] = redis.url
        with coordinator(tmp_path, DATABASE_URL=database, **options) as system:
            system.set_up(target=target.url)
            installation = Installation(system, redis, database)
            try:
                yield installation
            finally:
                installation.close()


def test_a_worker_whose_idle_connections_were_cut_carries_out_the_next_runs(installed: Installation) -> None:
    installed.system.start_worker()
    installed.system.start_watchdog()
    installed.queue_runs(2)  # each of the worker's threads has a connection by then
    wait_for(lambda: installed.outcomes() == {"passed"}, what="the first runs passed")
    assert installed.cut_connections() >= 2
    installed.queue_runs(3)
    wait_for(lambda: "" not in installed.outcomes(), what="the next runs ended")
    assert installed.outcomes() == {"passed"}


def test_a_redis_that_hangs_keeps_no_fault_and_no_heartbeat_waiting(
    on_redis: Installation, target: Target
) -> None:
    worker = on_redis.system.start_worker()
    on_redis.system.start_watchdog()
    on_redis.system.manage("scenario", "run", str(LONG_FAULT), "--detach")
    wait_for(lambda: target.active, what="the fault is injected")
    os.kill(on_redis.redis.pid, signal.SIGSTOP)
    try:
        on_redis.queue_runs(12)
        # The queue hangs for a while already when the worker dies.
        wait_for(lambda: "The queue does not answer" in words(on_redis), what="the watchdog noticed")
        killed_at = time.monotonic()
        worker.kill()
        before = on_redis.seen_at("watchdog")
        wait_for(lambda: not target.active, what="the fault is undone")
        # A watchdog undoes it within lease + 3 s: it took 5.5 and 6.2 s on a machine with a load of
        # 30. The rest is for a busier one, and is still far below one time limit of the queue for each run.
        assert target.undone_at - killed_at <= LEASE_SECONDS + 10
        assert on_redis.seen_at("watchdog") != before
    finally:
        os.kill(on_redis.redis.pid, signal.SIGCONT)
    on_redis.system.start_worker("second-worker")
    wait_for(lambda: on_redis.outcomes() == {"passed"}, what="no run was lost")


def words(installation: Installation) -> str:
    return installation.system.find_log("watchdog").read_text()


def test_unavailable_queue_is_logged_with_one_line_and_its_return_with_another(
    on_redis: Installation,
) -> None:
    on_redis.redis.stop()
    on_redis.system.start_watchdog()
    on_redis.queue_runs(6)
    wait_for(lambda: "The queue does not answer" in words(on_redis), what="the watchdog noticed")
    before = on_redis.seen_at("watchdog")
    wait_for(lambda: on_redis.seen_at("watchdog") != before, what="a round went on")
    time.sleep(6)  # several tries
    on_redis.redis.start()
    wait_for(lambda: "The queue answers again" in words(on_redis), what="its return was told")
    lines = on_redis.log_lines("watchdog")
    told = [str(line["event"]) for line in lines if "queue" in str(line["event"])]
    assert len(told) == 2, told
    assert "Traceback" not in words(on_redis)
