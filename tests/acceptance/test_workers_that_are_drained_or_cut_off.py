"""Workers of either queue: drained, cut off from the queue or the database, or of the wrong kind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL, postgresql, programs
from tests.servers.redis_server import Redis, redis_server
from tests.servers.target import Target, running_target

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.slow]

# Lasts until the target is calm again.
SHORT_FAULT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: drained}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: target, method: POST, path: /fault}}
          undo: {http: {service: target, method: DELETE, path: /fault}}
      validations:
        - name: calm
          within: 30m
          every: 200ms
          probe: {http: {service: target, path: /calm}}
          expect: {status: 200}
"""
PASSED = ("finished", "passed")
LONG_LEASE = "1800"
AWAY, BACK = "The database does not answer", "The database answers again"
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND application_name <> 'filler' AND pid <> pg_backend_pid()"
)
COUNT = (
    "SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity"
    " WHERE application_name = 'filler' OR pid = pg_backend_pid()"
)


class Installation:
    def __init__(self, system: Coordinator, redis: Redis, server: PostgreSQL, scenario: Path) -> None:
        self.system = system
        self.redis = redis
        self.server = server
        self._scenario = scenario

    def start_run(self) -> str:
        return self.system.manage("scenario", "run", str(self._scenario), "--detach").strip()

    def outcomes(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT state, outcome FROM scenarios_run ORDER BY queued_at")

    def has_beaten(self) -> bool:
        return bool(self.ask("SELECT 1 FROM scenarios_heartbeat WHERE name = 'worker'"))

    def delete_all(self, table: str) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(f"scenarios_{table}")))

    def ask(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.url) as connection:
            return connection.execute(query).fetchall()

    @contextmanager
    def all_connections_used(self) -> Iterator[None]:
        """Everybody else has lost their connections to the server, and gets no other."""
        with psycopg.connect(self.server.url, autocommit=True) as own, ExitStack() as fillers:
            wait_for(lambda: self._use_connections(own, fillers), what="all connections are used")
            yield

    def _use_connections(self, own: "psycopg.Connection[Any]", fillers: ExitStack) -> bool:
        own.execute(CUT)
        try:
            while True:
                fillers.enter_context(psycopg.connect(self.server.url, application_name="filler"))
        except psycopg.OperationalError:
            ((used, limit),) = own.execute(COUNT).fetchall()
            return bool(used == limit)

    def log_lines(self, name: str) -> list[dict[str, object]]:
        """Each is JSON, or this fails."""
        return [json.loads(line) for line in self.system.find_log(name).read_text().splitlines()]


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture(scope="module", params=["db", "rq"])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, target: Target
) -> Iterator[Installation]:
    found = programs()
    assert found is not None
    data = tmp_path_factory.mktemp("workers")
    scenario = data / "drained.yaml"
    scenario.write_text(SHORT_FAULT)
    with redis_server(data) as redis, postgresql(found) as server:
        options = {"TASK_BACKEND": request.param, "REDIS_URL": redis.url, "LEASE_SECONDS": "15"}
        with coordinator(data, DATABASE_URL=server.url, **options) as system:
            system.set_up(target=target.url)
            yield Installation(system, redis, server, scenario)


@pytest.fixture
def installed(installation: Installation, target: Target) -> Iterator[Installation]:
    """Without processes, runs, heartbeats and log lines of the test before."""
    target.injected = target.undone = target.active = target.asked = target.looks = target.calm_looks = 0
    yield installation
    installation.system.stop()
    for table in (
        "runcharts",
        "runfigures",
        "lookchunk",
        "loadprogress",
        "event",
        "fault",
        "hold",
        "run",
        "heartbeat",
    ):
        installation.delete_all(table)
    for log in installation.system.data.glob("*work*.log"):
        log.unlink()
    installation.system.find_log("watchdog").unlink(missing_ok=True)


def test_a_drained_worker_finishes_its_run_takes_no_other_and_ends(
    installed: Installation, target: Target
) -> None:
    worker = installed.system.start_worker()
    installed.start_run()
    wait_for(lambda: target.active, what="the fault is injected")
    worker.send_signal(signal.SIGUSR1)
    installed.start_run()
    target.asked = 0
    assert worker.wait(300) == 0, installed.system.find_log("worker").read_text()
    assert sorted(installed.outcomes()) == [("finished", "passed"), ("queued", "")]
    assert (target.injected, target.active) == (1, 0)
    installed.system.start_worker("next-worker")
    installed.system.start_watchdog()
    wait_for(lambda: target.injected == 2, what="the next worker takes the next run")


def test_an_idle_worker_that_is_drained_ends_at_once(installed: Installation) -> None:
    worker = installed.system.start_worker()
    installed.system.start_watchdog()
    wait_for(installed.has_beaten, what="it works")
    assert "Draining 1 worker." in installed.system.manage("drain_workers", "--wait", "60")
    assert worker.wait(300) == 0, installed.system.find_log("worker").read_text()


def test_a_worker_that_is_drained_and_then_stopped_undoes_its_fault_at_once(
    installed: Installation, target: Target
) -> None:
    worker = installed.system.start_worker()
    installed.start_run()
    wait_for(lambda: target.active, what="the fault is injected")
    worker.send_signal(signal.SIGUSR1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(300) == 0, installed.system.find_log("worker").read_text()
    assert target.active == 0
    assert installed.outcomes() == [("finished", "interrupted")]


def test_a_worker_outlives_outages_of_the_database_and_the_queue_and_logs_each_line_as_json(
    installed: Installation, target: Target
) -> None:
    worker = installed.system.start_worker(LEASE_SECONDS=LONG_LEASE)
    installed.system.start_watchdog()
    begin_run(installed, target, 1)
    end_while_all_connections_are_used(installed, target)
    before = count_told(installed, AWAY)
    installed.server.stop()
    installed.redis.stop()
    wait_for(lambda: count_told(installed, AWAY) > before, what="the watchdog noticed the second outage")
    time.sleep(3)  # several tries of each
    installed.server.start()
    installed.redis.start()
    begin_run(installed, target, 2)
    installed.redis.stop()
    target.asked = 0
    wait_for(lambda: installed.outcomes() == [PASSED] * 2, what="the run ends without the queue")
    installed.redis.start()
    begin_run(installed, target, 3)
    assert worker.poll() is None
    assert target.undone == 2
    assert installed.log_lines("worker")
    # Once, not for each try; and perhaps again for one that met the server while it was starting.
    assert count_told(installed, AWAY) <= before + 2
    assert not [line for line in installed.log_lines("watchdog") if "exception" in line]


def begin_run(installed: Installation, target: Target, number: int) -> None:
    installed.start_run()
    wait_for(lambda: target.injected == number, what=f"the fault of run {number} is injected")


def end_while_all_connections_are_used(installed: Installation, target: Target) -> None:
    """The run's worker cannot write anything about its end until there are connections again."""
    wait_for(lambda: target.looks > 2, what="the worker has written that the fault is injected")
    with installed.all_connections_used():
        target.asked = 0
        wait_for(lambda: target.calm_looks, what="the worker wants to write that the validation passed")
        refusals = installed.server.count_refusals() + 10
        wait_for(lambda: installed.server.count_refusals() >= refusals, what="it has tried several times")
        wait_for(lambda: count_told(installed, AWAY), what="the watchdog noticed")
        assert target.undone == 0
    wait_for(lambda: installed.outcomes() == [PASSED], what="the run ends as it should")
    # As long as some connections are free and others are not yet, it may be told twice.
    wait_for(lambda: is_over(installed), what="the outage is over for the watchdog, too")


def is_over(installed: Installation) -> bool:
    return count_told(installed, BACK) == count_told(installed, AWAY)


def count_told(installed: Installation, words: str) -> int:
    """How often the watchdog has told this."""
    return installed.system.find_log("watchdog").read_text().count(words)


@pytest.mark.parametrize(
    ("backend", "command", "words"),
    [
        ("rq", ["rqworker", "--worker-class", "rq.Worker"], "child process"),
        ("rq", ["rqworker", "--worker-class", "rq.worker.SpawnWorker"], "child process"),
        ("rq", ["rqworker", "--worker-class", "rq.NoWorker"], "no worker class"),
        ("rq", ["rqworker", "--job-class", "rq.job.Job"], "django_tasks_rq.Job"),
        ("rq", ["db_worker"], "TASK_BACKEND is 'rq'"),
        ("db", ["rqworker"], "TASK_BACKEND is 'db'"),
    ],
)
def test_a_worker_that_could_not_do_its_work_is_refused_at_its_start(
    backend: str, command: list[str], words: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "TASK_BACKEND": backend}
    environment["REDIS_URL"] = "redis://127.0.0.1:1/0"
    refused = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


FORKING = """
import django_rq
from django_rq.workers import get_worker
get_worker(worker_class="rq.Worker", job_class="django_tasks_rq.Job").work(burst=True)
from scenarios.supervision import readiness
print("ready:", readiness.find_problem(readiness.worker))
from scenarios.models import Run
print("states:", *Run.objects.values_list("state", flat=True))
"""
ASK_FOR_BEAT = "from scenarios import tasks; tasks.ask_for_beat()"


def test_a_worker_of_the_wrong_class_that_was_started_some_other_way_begins_nothing_and_is_find_warnings(
    tmp_path: Path,
) -> None:
    with (
        redis_server(tmp_path) as redis,
        coordinator(tmp_path, TASK_BACKEND="rq", REDIS_URL=redis.url) as system,
    ):
        system.migrate()
        (tmp_path / "drained.yaml").write_text(SHORT_FAULT)
        system.manage("scenario", "run", str(tmp_path / "drained.yaml"), "--detach")
        system.manage("shell", "--no-imports", "-c", ASK_FOR_BEAT)
        told = system.manage("shell", "--no-imports", "-c", FORKING)
        assert "carries runs out in a child process" in told.partition("ready:")[2]
        assert "states: queued" in told
