"""Lists stay quick and small with many rows: each filter goes by an index, in the order of the list."""

import gzip
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from coordinator_client.command_line.coordinator import RunFilter
from scenarios.api.faults import ORDER as ORDER_OF_FAULTS
from scenarios.api.faults import FaultFilters, filter_faults
from scenarios.api.runs import ORDER as ORDER_OF_RUNS
from scenarios.api.runs import RunFilters, filter_runs, select_runs
from scenarios.command_line import local_rows
from scenarios.models import Fault, Run, Scenario
from tests.integration.scenarios.planned_rows import stored
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

RUNS, FAULTS = "/admin/scenarios/run/", "/admin/scenarios/fault/"
MAX_PAGE_BYTES = 60 * 1024


def find_plan(asked: str) -> str:
    """How the database would answer; PostgreSQL without what is only quicker because there are few rows."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for way in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN {asked}")
            return "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
        return "\n".join(row[3] for row in cursor.fetchall())


def check_walks_an_index(queries: Any, table: str) -> None:
    """The rows of the list, and their count, without a sort or a look at each row."""
    asked = [query["sql"] for query in queries if f'FROM "{table}"' in query["sql"]]
    assert asked
    for sql in asked:
        plan = find_plan(sql)
        assert "TEMP B-TREE" not in plan, (sql, plan)
        assert "Sort" not in plan, (sql, plan)
        assert "Seq Scan" not in plan, (sql, plan)
        assert f"SCAN {table}\n" not in f"{plan}\n", (sql, plan)


def bulk_runs(count: int, **fields: Any) -> list[Run]:
    """Ended runs, the newest first."""
    now = timezone.now()
    ended = {"state": "finished", "outcome": "passed", "rollback": "clean", "finished_at": now, **fields}
    rows = [
        Run(
            id=uuid.uuid4(),
            scenario_name="x",
            document="",
            queued_at=now - timedelta(minutes=number),
            **ended,
        )
        for number in range(count)
    ]
    return Run.objects.bulk_create(rows)


@pytest.mark.parametrize(
    ("address", "table"),
    [
        *(
            (f"{RUNS}?{query}", "scenarios_run")
            for query in ("", "state__exact=finished", "outcome__exact=failed")
        ),
        (f"{RUNS}?environment=staging", "scenarios_run"),
        (f"{RUNS}?scenario=break-exchange&outcome__exact=failed", "scenarios_run"),
        (f"{RUNS}?environment=staging&state__exact=finished&outcome__exact=passed", "scenarios_run"),
        *((f"{FAULTS}?{query}", "scenarios_fault") for query in ("state__exact=undone", "driver=http")),
        (f"{FAULTS}?service=exchange&state__exact=undone", "scenarios_fault"),
    ],
)
def test_each_filter_of_a_list_goes_by_an_index(admin_client: Client, address: str, table: str) -> None:
    stored()
    with CaptureQueriesContext(connection) as queries:
        assert admin_client.get(address).status_code == 200
    check_walks_an_index(queries, table)


@pytest.mark.parametrize("filters", [{"environment": "staging"}, {"environment": "x", "status": "failed"}])
def test_each_filter_of_runs_over_the_api_goes_by_an_index(filters: dict[str, Any]) -> None:
    rows = ORDER_OF_RUNS.sort(filter_runs(select_runs(), RunFilters(**filters)))
    with CaptureQueriesContext(connection) as queries:
        list(rows[:51])
    check_walks_an_index(queries, "scenarios_run")


@pytest.mark.parametrize(
    "filters",
    [{"state": "undone"}, {"service": "exchange"}, {"driver": "http"}, {"service": "a", "driver": "b"}],
)
def test_each_filter_of_faults_over_the_api_goes_by_an_index(filters: dict[str, Any]) -> None:
    rows = ORDER_OF_FAULTS.sort(filter_faults(Fault.objects.select_related("run"), FaultFilters(**filters)))
    with CaptureQueriesContext(connection) as queries:
        list(rows[:51])
    check_walks_an_index(queries, "scenarios_fault")


@pytest.mark.parametrize(
    "filters",
    [
        {"scenario": "break-exchange"},
        {"status": "finished"},
        {"status": "passed"},
        {"environment": "staging"},
        {"by": "ann", "scenario": "break-exchange", "status": "finished"},
    ],
)
def test_each_filter_of_the_command_line_goes_by_an_index(filters: dict[str, Any]) -> None:
    stored()
    User.objects.create_user("ann")
    with CaptureQueriesContext(connection) as queries:
        local_rows.select_runs(RunFilter(**filters, limit=20))
    check_walks_an_index(queries, "scenarios_run")


def test_the_command_line_lists_runs_of_files_beside_those_of_the_scenario_of_that_name() -> None:
    scenario = stored()
    own = bulk_runs(2, scenario=scenario)
    Run.objects.filter(scenario=scenario).update(scenario_name=scenario.name)
    other = bulk_runs(1)
    Run.objects.filter(pk=other[0].pk).update(scenario_name=scenario.name)
    found = local_rows.select_runs(RunFilter(scenario=scenario.name, limit=2))
    assert found == [other[0], own[0]]


def test_far_pages_show_the_same_rows_as_an_offset_would(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.admin.filtered_lists.MAX_SKIPPED", 0)
    monkeypatch.setattr(admin.site.get_model_admin(Run), "list_per_page", 3)
    rows = bulk_runs(11)
    pages = [list(admin_client.get(RUNS, {"p": page}).context["cl"].result_list) for page in (1, 2, 3, 4)]
    assert pages == [rows[0:3], rows[3:6], rows[6:9], rows[9:11]]


def test_the_last_of_many_pages_is_found_from_the_end_of_the_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.admin.filtered_lists.MAX_SKIPPED", 0)
    monkeypatch.setattr(admin.site.get_model_admin(Run), "list_per_page", 3)
    bulk_runs(11)
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(RUNS, {"p": 4})
    offsets = [query["sql"] for query in queries if " OFFSET " in query["sql"]]
    assert offsets == []  # the two last rows are the first two of the list that is turned round


def test_lists_of_many_rows_are_small(admin_client: Client) -> None:
    users = User.objects.bulk_create(User(username=f"user-{number}") for number in range(300))
    Scenario.objects.bulk_create(Scenario(name=f"scenario-{number}", document="") for number in range(500))
    runs = bulk_runs(100, started_by=users[0], reason="every validation held, as it should " * 3)
    Telling().begin()
    fault = Fault.objects.get()
    Fault.objects.bulk_create(
        Fault(run=run, order=1, phase="chaos", action="slow", driver="http", undo=fault.undo, timeout=1,
              state="undone", opened_at=timezone.now())
        for run in runs
    )  # fmt: skip
    sizes = {address: measure_page(admin_client, address) for address in find_lists()}
    assert {address: size for address, size in sizes.items() if size > MAX_PAGE_BYTES} == {}


def find_lists() -> Sequence[str]:
    names = ("run", "fault", "scenario", "schedule", "service", "auditentry")
    return ["/admin/", "/admin/scenarios/schedule/add/", *(f"/admin/scenarios/{name}/" for name in names)]


def measure_page(client: Client, address: str) -> int:
    """The bytes of the page as a server compresses it."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    return len(gzip.compress(answer.content, compresslevel=6))


def test_no_more_rows_are_counted_than_anybody_pages_through(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.admin.filtered_lists.MAX_COUNTED", 120)
    bulk_runs(120)
    page = read(admin_client, f"{RUNS}?p=3")
    assert "120 runs" in page
    assert "Select all 120" in page
    (newer,) = bulk_runs(1)
    page = read(admin_client, f"{RUNS}?p=3")
    assert "more than 120 runs: search or filter to see the others" in page
    assert "Select all 120" not in page
    assert str(newer.id) in read(admin_client, RUNS)
    assert page.count("action-select") == 20
    assert "?p=4" not in page


def read(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()
