"""What the lists and their filters take among the rows that are there, and how large the pages are."""

import gzip
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from benchmarks.goals import Goals
from benchmarks.rows.fill import BUSY_USER, create_reader
from benchmarks.rows.measure import Measured
from coordinator_client.command_line.coordinator import RunFilter
from scenarios.access import tokens
from scenarios.admin.filtered_lists import MAX_COUNTED
from scenarios.command_line import local_rows
from scenarios.models import Fault, Run, Scenario

# Milliseconds, and bytes of a page as a proxy compresses it.
LIST_GOAL, COMMAND_GOAL, PAGE_GOAL = 100.0, 50.0, 60 * 1024
TIMES = 10
ROWS_OF_PAGE = 50


def measure_lists(goals: Goals) -> None:
    first = Scenario.objects.order_by("pk").values_list("name", flat=True)[0]
    runs, faults = "/admin/scenarios/run/", "/admin/scenarios/fault/"
    last_of_runs = _number_of_pages(Run.objects.count())
    last_of_faults = _number_of_pages(Fault.objects.count())
    pages = {
        "Runs": runs,
        "Runs, the last page": f"{runs}?p={last_of_runs}",
        "Runs, a page in the middle": f"{runs}?p={last_of_runs // 2}",
        "Runs, state finished": f"{runs}?state__exact=finished",
        "Runs, by scenario": f"{runs}?scenario={first}",
        "Runs, by scenario, outcome and rollback": (
            f"{runs}?scenario={first}&outcome__exact=failed&rollback__exact=dirty"
        ),
        "Runs, by environment": f"{runs}?environment=staging",
        "Runs, by environment and outcome, none": f"{runs}?environment=nowhere&outcome__exact=passed",
        "Runs, searched by person": f"{runs}?q={BUSY_USER}",
        "Faults": faults,
        "Faults, the last page": f"{faults}?p={last_of_faults}",
        "Faults, state undone": f"{faults}?state__exact=undone",
        "Faults, by service": f"{faults}?service=exchange",
        "Faults, by a service without any": f"{faults}?service=none",
        "Faults, by a driver without any": f"{faults}?driver=tcp",
        "Faults, searched": f"{faults}?q=slow",
        "the form of a schedule": "/admin/scenarios/schedule/add/",
        "Scenarios": "/admin/scenarios/scenario/",
        "Home": "/admin/",
    }
    user = create_reader("reader")
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(user, "django.contrib.auth.backends.ModelBackend")
    largest = 0
    for what, address in pages.items():
        largest = max(largest, _measure_address(goals, what, browser, address))
    goals.at_most("the largest of these pages, compressed", largest / 1024, PAGE_GOAL / 1024, "KiB")
    _measure_api(goals, user, first)
    _measure_command_line(goals, first)


def _number_of_pages(rows: int) -> int:
    """As the pages count: a list has no page after as many rows as they count at most."""
    return -(-min(rows, MAX_COUNTED) // ROWS_OF_PAGE)


def _measure_api(goals: Goals, user: User, scenario: str) -> None:
    _token, secret = tokens.create_token(user, "lists", ["read"])
    api = Client(headers={"Host": "localhost", "Authorization": f"Bearer {secret}"})
    for query in (
        *("runs?environment=staging", "runs?environment=nowhere&status=passed", f"runs?scenario={scenario}"),
        *("faults?state=undone", "faults?service=none", "faults?driver=tcp&state=undone"),
    ):
        _measure_address(goals, f"GET /{query}", api, f"/api/v1/{query}")


def _measure_command_line(goals: Goals, scenario: str) -> None:
    wanted: list[dict[str, Any]] = [
        {"scenario": scenario},
        {"status": "finished"},
        {"environment": "staging"},
    ]
    for filters in (*wanted, {"by": BUSY_USER}):
        found = Measured()
        for _ in range(TIMES):
            found.call(partial(local_rows.select_runs, RunFilter(**filters, limit=20)))
        (words,) = (f"--{name} {value}" for name, value in filters.items())
        found.judge(goals, f"runs {words}, in the database", COMMAND_GOAL)


def _measure_address(goals: Goals, what: str, client: Client, address: str) -> int:
    """Returns the bytes of the answer, compressed."""
    first: Any = client.get(address)
    assert first.status_code == 200, (address, first.status_code)
    found = Measured()
    for _ in range(TIMES):
        found.call(partial(client.get, address))
    found.judge(goals, what, LIST_GOAL)
    return len(gzip.compress(first.content, compresslevel=6))


def vacuum(goals: Goals) -> None:
    """What PostgreSQL has to clean up after the retention, and how long that takes."""
    if connection.vendor != "postgresql":
        return
    for table in ("scenarios_run", "scenarios_fault", "scenarios_event"):
        _vacuum_table(goals, table)


def _vacuum_table(goals: Goals, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT n_dead_tup, pg_total_relation_size(relid) / 1e9 FROM pg_stat_user_tables "
            "WHERE relname = %s",
            [table],
        )
        dead, size = cursor.fetchone()
        found = Measured()
        found.call(partial(cursor.execute, f"VACUUM (ANALYZE) {table}"))
    goals.tell(f"{table}: size with its indexes", float(size), "GB")
    goals.tell(f"{table}: dead rows after the retention", dead)
    goals.tell(f"{table}: VACUUM (ANALYZE)", found.wall / 1000, "s")
