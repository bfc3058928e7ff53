"""More processes than connections: PgBouncer pools them by transaction."""

import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenarios.domain.outcomes import Outcome
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.pgbouncer import POOL_SIZE, pgbouncer
from tests.servers.postgresql import PostgreSQL
from tests.servers.target import Target, running_target

pytestmark = [pytest.mark.pgbouncer, pytest.mark.postgresql]

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
ENDED = "SELECT outcome, rollback FROM scenarios_run WHERE state = 'finished'"


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


def test_a_fault_is_undone_and_the_next_run_passes_with_fewer_connections_than_processes(
    tmp_path: Path, target: Target, postgresql_server: PostgreSQL
) -> None:
    url = postgresql_server.new_database()
    with (
        pgbouncer(url) as pooled,
        coordinator(tmp_path, DATABASE_URL=f"{pooled}?DISABLE_SERVER_SIDE_CURSORS=true") as system,
    ):
        direct = Coordinator(tmp_path, DATABASE_URL=url)
        direct.set_up(target=target.url)
        system.manage("migrate", "--verbosity=0")
        system.start_web()
        system.start_watchdog()
        workers = [system.start_worker(f"worker-{number}") for number in range(3)]
        system.manage("scenario", "run", str(LONG_FAULT), "--detach")
        direct.wait_for_faults()
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        wait_for(lambda: direct.rows(ENDED) == [(Outcome.INTERRUPTED, "clean")], what="the run is taken over")
        assert target.active == 0

        system.start_worker("next-worker")
        system.manage("scenario", "run", str(LONG_FAULT), "--detach")
        direct.wait_for_faults()
        system.manage("scenario", "stop", "--all", "--reason", "enough")
        wait_for(lambda: (Outcome.ABORTED, "clean") in direct.rows(ENDED), what="the run is stopped")
        with urllib.request.urlopen(f"http://127.0.0.1:{system.port}/api/v1/ready") as answer:
            assert answer.status == 200
        ((connections,),) = direct.rows(CONNECTIONS)
        assert connections <= POOL_SIZE + 1  # and the one that asks
