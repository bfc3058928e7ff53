"""The fault is undone in time, however the worker of a run ends. Real processes, on each database."""

import json
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.coordinator import PROJECT, Coordinator, command, coordinator, read_until
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL, postgresql, programs
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.slow

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
LEASE_SECONDS = 3.0
# The goals (0.5 s, and a lease and 3 s) are held by benchmarks/run_lifecycle.py, on a machine that does
# nothing else; the fault itself would last for minutes.
UNDONE_WITHIN = 20.0


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """By its name; `on_each_database` chooses the others."""
    return str(getattr(request, "param", "sqlite"))


# What depends on how transactions of several processes lock each other.
on_each_database = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)


@pytest.fixture
def system(
    request: pytest.FixtureRequest, tmp_path: Path, target: Target, database: str
) -> Iterator[Coordinator]:
    settings = {}
    if database == "postgresql":
        settings["DATABASE_URL"] = request.getfixturevalue("postgresql_server").new_database()
    with coordinator(tmp_path, **settings) as installed:
        installed.set_up(target=target.url)
        yield installed


def run_with_fault(system: Coordinator, target: Target) -> str:
    """The id of a run whose fault is injected now."""
    run = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
    wait_for(lambda: target.active, what="the fault is injected")
    # A worker that is killed before it has heard the answer has its fault awaited for a while.
    wait_for(lambda: read_outcome(system, run)["faults"] == "active", what="the ledger says so too")
    return run


def read_outcome(system: Coordinator, run: str) -> dict[str, str]:
    run_id = run.replace("-", "")
    query = "SELECT state, outcome, rollback FROM scenarios_run WHERE id = ?"
    ((state, outcome, rollback),) = system.rows(query, run_id)
    faults = system.rows("SELECT state FROM scenarios_fault WHERE run_id = ?", run_id)
    return {
        "state": state,
        "outcome": outcome,
        "rollback": rollback,
        "faults": ",".join(fault for (fault,) in faults),
    }


def report_without_charts(system: Coordinator, run: str) -> dict[str, Any]:
    """The run's report, without what the watchdog may still add to it after the run has ended."""
    report: dict[str, Any] = json.loads(system.manage("scenario", "report", run, "--format", "json"))
    del report["charts"]
    return report


def ended(outcome: str) -> dict[str, str]:
    return {"state": "finished", "outcome": outcome, "rollback": "clean", "faults": "undone"}


@on_each_database
def test_a_worker_killed_in_a_fault_has_it_undone_after_its_lease(
    system: Coordinator, target: Target
) -> None:
    worker = system.start_worker()
    system.start_watchdog()
    run = run_with_fault(system, target)
    killed_at = time.monotonic()
    worker.kill()
    wait_for(lambda: not target.active, what="the fault is undone")
    assert LEASE_SECONDS / 2 <= target.undone_at - killed_at <= LEASE_SECONDS + UNDONE_WITHIN
    assert (target.injected, target.undone) == (1, 1)
    wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the run has ended interrupted")


def test_a_worker_that_is_asked_to_stop_undoes_its_fault_at_once_and_ends(
    system: Coordinator, target: Target
) -> None:
    worker = system.start_worker()
    run = run_with_fault(system, target)
    told_at = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(300) == 0, system.find_log("worker").read_text()
    assert target.active == 0
    assert target.undone_at - told_at <= UNDONE_WITHIN
    assert read_outcome(system, run) == ended("interrupted")


def test_a_stopped_run_undoes_its_fault_and_ends_aborted(system: Coordinator, target: Target) -> None:
    system.start_worker()
    run = run_with_fault(system, target)
    output = system.manage("scenario", "stop", run)
    assert "ABORTED" in output
    assert target.active == 0
    assert read_outcome(system, run) == ended("aborted")


def test_a_fault_whose_target_is_away_is_tried_again_by_the_watchdog_until_it_is_undone(
    system: Coordinator, target: Target
) -> None:
    worker = system.start_worker()
    run = run_with_fault(system, target)
    target.refuse_undo = True
    worker.send_signal(signal.SIGTERM)
    worker.wait(300)
    dirty = {"state": "finished", "outcome": "interrupted", "rollback": "dirty", "faults": "outstanding"}
    assert read_outcome(system, run) == dirty
    target.refuse_undo = False
    system.start_watchdog()
    wait_for(lambda: not target.active, what="the watchdog undoes the fault")
    wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the run is clean")


def test_ctrl_c_in_the_terminal_stops_the_run_that_it_follows(system: Coordinator, target: Target) -> None:
    system.start_worker()
    with command(system.data, "scenario", "run", str(LONG_FAULT), **system.environment) as following:
        wait_for(lambda: target.active, what="the fault is injected")
        read_until(following.stdout, "break the target")
        following.send_signal(signal.SIGINT)
        assert following.stdout is not None
        output = following.stdout.read()
        assert following.wait(300) == 4, output
    assert "ABORTED" in output
    assert target.active == 0


@pytest.mark.postgresql
def test_a_database_that_is_away_for_less_than_the_lease_is_waited_for(
    tmp_path: Path, target: Target
) -> None:
    found = programs()
    assert found is not None
    with (
        postgresql(found) as server,
        coordinator(tmp_path, DATABASE_URL=server.url, LEASE_SECONDS="10") as system,
    ):
        system.set_up(target=target.url)
        system.start_worker()
        run = run_with_fault(system, target)
        server.stop()
        # Longer than the worker's looks for a stop request and its renewals of the lease.
        assert not target.over.wait(3)
        assert target.active == 1
        server.start()
        assert "ABORTED" in system.manage("scenario", "stop", run)
        assert read_outcome(system, run) == ended("aborted")


@on_each_database
def test_a_worker_that_was_stopped_for_longer_than_its_lease_is_fenced_when_it_wakes(
    system: Coordinator, target: Target
) -> None:
    worker = system.start_worker()
    system.start_watchdog()
    run = run_with_fault(system, target)
    worker.send_signal(signal.SIGSTOP)
    wait_for(lambda: not target.active, what="the watchdog undoes the fault")
    wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the run has ended interrupted")
    reported = report_without_charts(system, run)
    worker.send_signal(signal.SIGCONT)
    next_run = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
    wait_for(lambda: target.active, what="the woken worker carries the next run out")
    assert target.injected == 2
    assert report_without_charts(system, run) == reported
    assert "ABORTED" in system.manage("scenario", "stop", next_run)


@pytest.mark.postgresql
def test_a_database_that_is_away_for_longer_than_the_lease_leaves_no_fault_behind(
    tmp_path: Path, target: Target
) -> None:
    found = programs()
    assert found is not None
    with postgresql(found) as server, coordinator(tmp_path, DATABASE_URL=server.url) as system:
        system.set_up(target=target.url)
        system.start_worker()
        system.start_watchdog()
        run = run_with_fault(system, target)
        server.stop()
        wait_for(lambda: not target.active, what="the fault is undone without the database")
        server.start()
        wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the ledger says so too")


@pytest.mark.postgresql
def test_a_database_that_neither_answers_nor_refuses_leaves_no_fault_behind(
    tmp_path: Path, target: Target, postgresql_server: PostgreSQL
) -> None:
    database = postgresql_server.new_database()
    with coordinator(tmp_path, DATABASE_URL=database) as system:
        system.set_up(target=target.url)
        system.start_worker()
        system.start_watchdog()
        run = run_with_fault(system, target)
        with psycopg.connect(database) as other:  # closed, it lets go
            other.execute("LOCK TABLE scenarios_run, scenarios_service IN ACCESS EXCLUSIVE MODE")
            wait_for(lambda: not target.active, what="the fault is undone without the database")
        wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the ledger says so too")


def test_a_full_disk_under_the_worker_leaves_no_fault_behind(tmp_path: Path, target: Target) -> None:
    with coordinator(tmp_path) as system:
        system.set_up(target=target.url)
        worker = system.start_worker()
        run = run_with_fault(system, target)
        # Its writes fail from now on, as on a full disk; the watchdog's, elsewhere, do not.
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1, 1))
        wait_for(lambda: not target.active, what="the fault is undone without the ledger")
        system.start_watchdog()
        wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the ledger says so too")


@on_each_database
def test_two_watchdogs_at_once_undo_a_fault_once(system: Coordinator, target: Target) -> None:
    worker = system.start_worker()
    for name in ("first", "second"):
        # On a busy machine the first may need longer than the worker's lease, and would lose its own.
        system.start(name, "manage.py", "watchdog", LEASE_SECONDS="30")
    run = run_with_fault(system, target)
    worker.kill()
    wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the run has ended interrupted")
    assert (target.injected, target.undone) == (1, 1)


def test_a_sqlite_file_that_another_program_locks_for_a_while_is_waited_for(
    tmp_path: Path, target: Target
) -> None:
    with coordinator(tmp_path, LEASE_SECONDS="10") as system:
        system.set_up(target=target.url)
        system.start_worker()
        run = run_with_fault(system, target)
        with closing(sqlite3.connect(tmp_path / "coordinator.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            # Longer than the worker's looks for a stop request and its renewals of the lease.
            assert not target.over.wait(4)
            assert target.active == 1
        assert "ABORTED" in system.manage("scenario", "stop", run)
        assert read_outcome(system, run) == ended("aborted")


def test_a_clock_that_is_set_back_keeps_no_fault_of_a_dead_worker(
    system: Coordinator, target: Target
) -> None:
    worker = system.start_worker()
    system.start_watchdog()
    run = run_with_fault(system, target)
    worker.kill()
    worker.wait()
    # To every process that looks at its clock now, the lease ends in an hour.
    later = "timezone.now() + timedelta(hours=1)"
    imports = (
        "from datetime import timedelta; from django.utils import timezone; from scenarios.models import Run"
    )
    system.manage("shell", "--no-imports", "-c", f"{imports}; Run.objects.update(lease_until={later})")
    wait_for(lambda: read_outcome(system, run) == ended("interrupted"), what="the run has ended interrupted")
    assert target.active == 0
