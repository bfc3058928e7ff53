"""PostgreSQL, Redis, a watchdog and many workers, and a process that queues runs."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.installed import Entrance, entrance
from tests.servers.coordinator import Coordinator
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL, postgresql, programs
from tests.servers.redis_server import Redis, redis_server

# As a server for this many workers would have, with commits that are on disk.
SERVER = {
    "fsync": "on",
    "max_connections": "1200",
    "shared_buffers": "1GB",
    "shared_preload_libraries": "pg_stat_statements",
}
RUN = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: NAME}
spec: {phases: [{name: p, actions: [{name: wait, do: {wait: {duration: DURATION}}}]}]}
"""
BREAKING = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: breaking}
spec:
  variables: {service: {type: string}}
  phases:
    - name: chaos
      hold: 30s
      actions:
        - name: break it
          do: {http: {service: "${service}", method: POST, path: /fault}}
          undo: {http: {service: "${service}", method: DELETE, path: /fault}}
"""
PROGRAM = """
import sys
from scenarios.library.services import register_service
from scenarios.runs import commands as run_commands
print('ready', flush=True)
for line in sys.stdin:
    name, duration, *services = line.split()
    if name == 'register':
        for service in services:
            register_service(service, duration)
    elif services:
        for service in services:
            run_commands.start_run(BREAKING, {'service': service}, origin='api')
    else:
        count, _, duration = duration.partition('x')
        for _ in range(int(count)):
            run_commands.start_run(RUN.replace('NAME', name).replace('DURATION', duration), {}, origin='api')
    print('queued', flush=True)
"""


class Installation:
    def __init__(
        self, system: Coordinator, server: PostgreSQL, redis: Redis, database: str, asked: Entrance
    ) -> None:
        self.system, self.server, self.redis = system, server, redis
        self.database = database
        self._asked = asked
        self._connection = psycopg.connect(database, autocommit=True)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(f"/* benchmark */ {query}".encode(), values)
        return cursor.fetchall() if cursor.description else []

    def count(self, query: str, *values: Any) -> int:
        return int(self.ask(query, *values)[0][0])

    def queue_runs(self, name: str, count: int, duration: str) -> None:
        self._asked.ask(f"{name} {count}x{duration}")

    def register_services(self, names: list[str], url: str) -> None:
        self._asked.ask(f"register {url} {' '.join(names)}")

    def queue_faults(self, services: list[str]) -> None:
        self._asked.ask(f"breaking 0 {' '.join(services)}")

    def wait_until_ended(self, name: str) -> None:
        query = "SELECT count(*) FROM scenarios_run WHERE scenario_name = %s AND state <> 'finished'"
        wait_for(lambda: self.count(query, name) == 0, what=f"every run of {name} has ended", seconds=1800)

    def start_workers(self, count: int) -> None:
        """Each with a folder of its own for metrics, as on another machine."""
        for number in range(count):
            directory = self.system.data / f"metrics-{number}"
            self.system.start_worker(f"worker-{number}", PROMETHEUS_MULTIPROC_DIR=str(directory))

    def close(self) -> None:
        self._connection.close()


class DatabaseWork:
    """Statements, their seconds, and the server's processor time, per second."""

    def __init__(self, statements: float, execution: float, processor: float) -> None:
        self.statements, self.execution, self.processor = statements, execution, processor


# Without what the benchmark itself asks.
WORK = (
    "SELECT coalesce(sum(calls), 0), coalesce(sum(total_exec_time), 0) / 1000 FROM pg_stat_statements "
    "WHERE query NOT LIKE '/* benchmark */%%'"
)


@contextmanager
def measured_work(installed: Installation) -> Iterator[list[DatabaseWork]]:
    """What the database does within, per second."""
    found: list[DatabaseWork] = []
    installed.ask("SELECT pg_stat_statements_reset()")
    processor, begun = installed.server.measure_processor_time(), time.monotonic()
    yield found
    lasted = time.monotonic() - begun
    statements, execution = installed.ask(WORK)[0]
    used = installed.server.measure_processor_time() - processor
    found.append(DatabaseWork(float(statements) / lasted, float(execution) / lasted, used / lasted))


@contextmanager
def installation(workers: int, **settings: str) -> Iterator[Installation]:
    with ExitStack() as stack:
        found = programs()
        assert found is not None, "PostgreSQL is not installed: apt-get install postgresql"
        server = stack.enter_context(postgresql(found, **SERVER))
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="many-workers-")))
        redis = stack.enter_context(redis_server(data))
        database = server.new_database()
        own = {"DATABASE_URL": database, "TASK_BACKEND": "rq", "REDIS_URL": redis.url, "LEASE_SECONDS": "15"}
        system = Coordinator(data, **own, MAX_CONCURRENT_RUNS="1000", LOG_LEVEL="WARNING", **settings)
        stack.callback(system.stop)
        system.migrate()
        program = PROGRAM.replace("BREAKING", repr(BREAKING)).replace("RUN.", f"{RUN!r}.")
        asked = stack.enter_context(entrance(system, program))
        installed = Installation(system, server, redis, database, asked)
        stack.callback(installed.close)
        system.start_watchdog()
        installed.start_workers(workers)
        # As many as there are have said so to Redis.
        wait_for(lambda: _count_workers(redis) == workers, what="every worker is there", seconds=1800)
        yield installed


def _count_workers(redis: Redis) -> int:
    from redis import Redis as Client  # noqa: PLC0415

    with Client.from_url(redis.url) as client:
        return int(client.scard("rq:workers"))
