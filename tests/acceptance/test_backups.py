"""A backup is whole and consistent, and a restore changes everything or nothing."""

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import small_disk
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.postgresql import PostgreSQL

TITLES = "SELECT title FROM scenarios_scenario ORDER BY name"
CHANGE = "UPDATE scenarios_scenario SET title = 'changed'"
BEAT = "INSERT INTO scenarios_heartbeat (name, seen_at, detail) VALUES (?, ?, '0')"
LONG_AGO = "2026-01-01 00:00:00+00:00"
FAULT_LEFT = """
from django.utils.timezone import now
from scenarios.models import Fault, Run
ended = {'state': 'finished', 'outcome': 'passed', 'rollback': 'dirty', 'finished_at': now()}
run = Run.objects.create(scenario_name='lost', document='', **ended)
Fault.objects.create(
    run=run, order=1, action='slow it', phase='chaos', driver='http', state='outstanding', undo={}, timeout=5,
    late_seconds=0, opened_at=now(),
)
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Coordinator]:
    with coordinator(tmp_path / "data") as installed:
        installed.set_up()
        yield installed


@pytest.fixture
def backup(system: Coordinator, tmp_path: Path) -> Path:
    file = tmp_path / "one.backup"
    system.manage("backup", str(file))
    return file


def attempt(installed: Coordinator, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def writing(installed: Coordinator) -> Iterator[None]:
    """Two rows that change together, as often as the database can."""
    for name in ("left", "right"):
        installed.rows(BEAT, name, LONG_AGO)
    is_over = threading.Event()

    def write() -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            installed.rows("UPDATE scenarios_heartbeat SET detail = ?", str(number))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_backup_beside_writers_is_restored_elsewhere_as_of_one_moment(
    system: Coordinator, tmp_path: Path
) -> None:
    file = tmp_path / "one.backup"
    with writing(system):
        system.manage("backup", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == ["one.backup"]
    with coordinator(tmp_path / "other") as other:
        told = other.manage("restore", str(file))
        assert "Restored the backup of" in told
        assert other.rows(TITLES) == system.rows(TITLES)
        left, right = other.rows("SELECT detail FROM scenarios_heartbeat ORDER BY name")
        assert left == right
        kept = (other.data / "secret-key").read_text()
        assert kept == (system.data / "secret-key").read_text()


def test_a_restore_keeps_to_what_is_safe(system: Coordinator, backup: Path) -> None:
    system.rows(CHANGE)
    system.rows(BEAT, "watchdog", time.strftime("%Y-%m-%d %H:%M:%S+00:00", time.gmtime(time.time() + 500)))
    code, said = attempt(system, "restore", str(backup))
    assert (code, "stop web servers, workers and watchdogs" in " ".join(said.split())) == (1, True), said
    system.rows("DELETE FROM scenarios_heartbeat")
    system.manage("shell", "--no-imports", "-c", FAULT_LEFT)
    code, said = attempt(system, "restore", str(backup))
    assert (code, "Still injected: 'slow it' of lost." in said) == (1, True), said
    assert set(system.rows(TITLES)) == {("changed",)}
    system.manage("restore", str(backup), "--discard-faults")
    assert ("changed",) not in system.rows(TITLES)
    assert system.rows("SELECT count(*) FROM scenarios_fault") == [(0,)]


@pytest.mark.skipif(not small_disk.can_be_had(), reason="this kernel refuses mount namespaces")
def test_a_full_disk_leaves_no_half_backup(system: Coordinator, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    words = small_disk.inside(
        disk,
        "sh",
        "-c",
        f'"$0" manage.py backup {disk}/one.backup; echo "code $?"; ls -A {disk}',
        sys.executable,
    )
    done = subprocess.run(
        words, cwd=PROJECT, env=system.environment, capture_output=True, text=True, check=False, timeout=600
    )
    said, _, listed = done.stdout.partition("code 1\n")
    assert "cannot be" in done.stderr, done.stdout + done.stderr
    assert (said, listed) == ("", "")


def test_a_restore_that_is_killed_leaves_a_database_that_works(system: Coordinator, backup: Path) -> None:
    """SQLite rolls back what was half written, as after a power cut."""
    before = system.rows(TITLES)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "restore", str(backup)], cwd=PROJECT, env=system.environment
    )
    time.sleep(random.uniform(0, 2))  # noqa: S311 - no secret
    process.kill()
    process.wait()
    assert system.rows("PRAGMA integrity_check") == [("ok",)]
    assert system.rows(TITLES) == before


def test_postgresql_is_backed_up_and_restored_over_a_changed_schema(
    postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    url = postgresql_server.new_database()
    file = tmp_path / "one.backup"
    with coordinator(tmp_path / "data", DATABASE_URL=url) as installed:
        installed.set_up()
        with writing(installed):
            installed.manage("backup", str(file))
        stored = installed.rows(TITLES)
        installed.rows(CHANGE)
        installed.rows("CREATE TABLE scenarios_newer (id integer)")
        code, said = attempt(installed, "restore", str(file))
        assert code == 0, said
        assert installed.rows(TITLES) == stored
        left, right = installed.rows("SELECT detail FROM scenarios_heartbeat ORDER BY name")
        assert left == right
        assert installed.rows("SELECT to_regclass('scenarios_newer')") == [(None,)]
