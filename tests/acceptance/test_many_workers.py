"""Several workers, each as on a machine of its own: every run is carried out once, by either queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.redis_server import Redis, redis_server
from tests.servers.target import Target, running_target

pytestmark = [pytest.mark.postgresql, pytest.mark.redis, pytest.mark.slow]

WORKERS = 3
RUNS = 20
QUEUE_RUNS = f"""
from scenarios.runs.commands import start_run
document = '''
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: short}}
spec: {{phases: [{{name: p, actions: [{{name: wait, do: {{wait: {{duration: 10ms}}}}}}]}}]}}
'''
for _ in range({RUNS}):
    start_run(document, {{}}, origin="cli")
"""
STORY = """
SELECT outcome, attempt, fence, worker,
    (SELECT count(*) FROM scenarios_event WHERE run_id = scenarios_run.id AND kind = 'run_started')
FROM scenarios_run
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture(params=["db", "rq"])
def system(
    request: pytest.FixtureRequest, tmp_path: Path, redis: Redis, target: Target
) -> Iterator[Coordinator]:
    database = request.getfixturevalue("postgresql_server").new_database()
    queue = {"TASK_BACKEND": request.param, "REDIS_URL": redis.url, "MAX_CONCURRENT_RUNS": "100"}
    with coordinator(tmp_path, DATABASE_URL=database, **queue) as installed:
        installed.set_up(target=target.url)
        yield installed


def start_workers(system: Coordinator) -> None:
    """Each with a metrics directory of its own, as on another machine."""
    for number in range(WORKERS):
        directory = system.data / f"metrics-{number}"
        system.start_worker(f"worker-{number}", PROMETHEUS_MULTIPROC_DIR=str(directory))


def outcomes(system: Coordinator) -> list[str]:
    return [outcome for (outcome,) in system.rows("SELECT outcome FROM scenarios_run")]


def test_workers_that_race_for_many_runs_carry_each_out_once(system: Coordinator) -> None:
    system.manage("shell", "--no-imports", "-c", QUEUE_RUNS)
    start_workers(system)
    wait_for(lambda: all(outcomes(system)), what="every run has ended")
    runs = system.rows(STORY)
    assert len(runs) == RUNS
    assert {(outcome, attempt, fence, starts) for outcome, attempt, fence, _, starts in runs} == {
        ("passed", 1, 1, 1)
    }
    assert len({worker for _, _, _, worker, _ in runs}) > 1


def test_a_queue_that_is_away_loses_no_run(system: Coordinator, redis: Redis) -> None:
    redis.stop()
    system.manage("shell", "--no-imports", "-c", QUEUE_RUNS)
    redis.start()
    start_workers(system)
    system.start_watchdog()
    wait_for(lambda: set(outcomes(system)) == {"passed"}, what="every run passed")
