"""What holds on SQLite holds on PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.api_load import MANY_RUNS
from tests.servers.coordinator import coordinator
from tests.servers.postgresql import PostgreSQL

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]
# They send the queries that other tests send, or none. What is new is included until it is named here.
SAME_QUERIES = (
    "coordinator_site",
    "metrics_app/test_backend.py",
    "metrics_app/test_c[al]*.py",
    "metrics_app/test_e*.py",
    "metrics_app/test_mi*.py",
    "metrics_app/test_re*.py",
    "metrics_app/test_s*.py",
    "scenarios/api/test_access.py",
    "scenarios/api/test_description.py",
    "scenarios/api/test_p*.py",
    "scenarios/charts/test_charts.py",
    "scenarios/command_line",
    "scenarios/control_room/test_declared_pages.py",
    "scenarios/control_room/test_guide.py",
    "scenarios/control_room/test_no_secret_is_shown.py",
    "scenarios/control_room/test_permissions.py",
    "scenarios/control_room/test_security_policy.py",
    "scenarios/language",
    "scenarios/library/test_warnings.py",
    "scenarios/published",
    "scenarios/reports",
    "scenarios/runs/test_answers_that_count.py",
    "scenarios/runs/test_expected_of_whole_runs.py",
    "scenarios/runs/test_faults_of_one_host.py",
    "scenarios/runs/test_gate.py",
    "scenarios/runs/test_holds_of_addresses.py",
    "scenarios/runs/test_many_validations.py",
    "scenarios/runs/test_proxies_and_hosts.py",
    "scenarios/runs/test_runs_of_one_host.py",
    "scenarios/runs/test_secrets_and_redirects.py",
    "scenarios/runs/test_services_of_host_faults.py",
    "scenarios/runs/test_steps_on_this_host.py",
)
STANDS_STILL_IN_A_TRANSACTION = """
import psycopg
from django.db import Error, connection, transaction
from scenarios.database import idle_transactions

idle_transactions.MAX_IDLE_SECONDS = 0.2
idle_transactions.limit_idle_transactions()
try:
    with transaction.atomic(), connection.cursor() as cursor, psycopg.connect(URL) as other:
        cursor.execute("SELECT pg_advisory_xact_lock(7)")
        other.execute("SET lock_timeout = '100s'")
        other.execute("SELECT pg_advisory_xact_lock(7)")
        print("free")
        cursor.execute("SELECT 1")
except Error as error:
    print("idle-in-transaction" in str(error) or type(error).__name__)
"""
USERS = """
from django.contrib.auth.models import User
for name in ("one", "load"):
    User.objects.create_superuser(name)
"""
# Six writers, whose transactions end in another order than that of their ids; a tenth is rolled back.
ROWS_THAT_BECOME_VISIBLE_LATE = """
import random, threading, time
import psycopg
from django.db import connection, models
from scenarios.database.settled import SettledIds, TableMarks

class Row(models.Model):
    class Meta:
        app_label = "scenarios"
        db_table = "late_rows"

def write(number):
    chance = random.Random(number)
    with psycopg.connect(URL) as database:
        for _ in range(60):
            database.execute("INSERT INTO begun VALUES (1)")
            database.execute("INSERT INTO late_rows DEFAULT VALUES")
            time.sleep(chance.random() * 0.03)
            database.rollback() if chance.random() < 0.1 else database.commit()

with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE late_rows (id bigserial PRIMARY KEY)")
    cursor.execute("CREATE TABLE begun (number int)")
writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
for writer in writers:
    writer.start()
settled, found, naive = SettledIds(TableMarks(Row)), [], []
while any(writer.is_alive() for writer in writers) or len(found) < Row.objects.count():
    seen = found[-1] if found else 0
    end, _newest = settled.find()
    found += Row.objects.filter(pk__gt=seen, pk__lte=end).order_by("pk").values_list("pk", flat=True)
    naive += Row.objects.filter(pk__gt=naive[-1] if naive else 0).order_by("pk").values_list("pk", flat=True)
    time.sleep(0.005)
stored = list(Row.objects.order_by("pk").values_list("pk", flat=True))
print(found == stored, len(naive) < len(stored))
"""
ROWS_EXPECTED = """
import re
from scenarios.api.runs import RunFilters, filter_runs, select_runs
for filters in (
    RunFilters(by="ada", status="failed"),
    RunFilters(by="load", status="failed"),
    RunFilters(scenario="exchange-latency", status="passed"),
):
    print(re.search(r"rows=([0-9]+)", filter_runs(select_runs(), filters).explain())[1])
"""


@pytest.mark.timeout(3600)
def test_the_integration_tests_pass_on_postgresql(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": postgresql_server.url, "DATA_DIR": str(tmp_path)}
    left_out = [f"--ignore-glob=tests/integration/{files}" for files in SAME_QUERIES]
    # Psycopg warns when the garbage collector finds the connection of a thread that has ended, which is
    # then reported by whichever test runs. On SQLite, a connection left open fails its test.
    warned = ["-W", "default::pytest.PytestUnraisableExceptionWarning"]
    command = [sys.executable, "-m", "pytest", "--maxfail=10", *warned, *left_out, "tests/integration"]
    command.append("--reuse-db")  # not dropped at the end: a thread may still have a connection to it
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "database: postgresql" in done.stdout


def test_filters_that_match_nothing_together_are_known_to_match_nothing(
    postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    """Otherwise a page of them is looked for in every run there is."""
    with coordinator(tmp_path, DATABASE_URL=postgresql_server.new_database()) as system:
        system.migrate()
        system.manage("scenario", "import", "scenarios/catalogue")
        script = USERS + MANY_RUNS.format(count=3000) + ROWS_EXPECTED
        expected = system.manage("shell", "--no-imports", "-c", script).split()
    # Of 3,000 runs each third is ada's and each sixth failed, but none is both.
    assert [int(rows) < 20 for rows in expected] == [True, False, True], expected


def test_readers_of_rows_by_id_lose_none_that_become_visible_late(
    postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    address = postgresql_server.new_database()
    with coordinator(tmp_path, DATABASE_URL=address) as system:
        script = f"URL = {address!r}\n{ROWS_THAT_BECOME_VISIBLE_LATE}"
        complete, is_needed = system.manage("shell", "--no-imports", "-c", script).split()
    assert complete == "True"
    assert is_needed == "True", "a reader that goes on after the newest id would have found every row, too"


def test_a_process_that_stands_still_in_a_transaction_loses_its_locks(
    tmp_path: Path, postgresql_server: PostgreSQL
) -> None:
    address = postgresql_server.new_database()
    with coordinator(tmp_path, DATABASE_URL=address) as system:
        script = f"URL = {address!r}\n{STANDS_STILL_IN_A_TRANSACTION}"
        assert system.manage("shell", "--no-imports", "-c", script).split() == ["free", "True"]
