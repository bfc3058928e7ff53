"""All lists of outstanding faults show the same ones, and no query reads all runs."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scenarios.domain.outcomes import OUTSTANDING_STATES, FaultState, Rollback, RunState
from scenarios.models import Fault, Run
from tests.integration.scenarios.api.conftest import program
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def left() -> Fault:
    """The one fault that was left behind, among faults of 300 runs that have ended or go on."""
    telling = Telling()
    telling.begin()
    run = telling.finish(Rollback.DIRTY)
    fault = Fault.objects.get()
    runs = [
        Run(
            scenario_name=run.scenario_name,
            document="",
            state="finished",
            outcome="passed",
            rollback="clean",
            started_from="cli",
            finished_at=timezone.now(),
        )
        for _ in range(200)
    ]
    later = timezone.now() + timedelta(minutes=1)
    runs += [
        Run(
            scenario_name=run.scenario_name,
            document="",
            state=RunState.RUNNING,
            lease_until=later,
            started_from="cli",
        )
        for _ in range(100)
    ]
    Run.objects.bulk_create(runs)
    Fault.objects.bulk_create(
        Fault(
            run=owner,
            order=1,
            phase="chaos",
            action="slow",
            driver="http",
            undo=fault.undo,
            timeout=5,
            state=FaultState.UNDONE if owner.state == RunState.FINISHED else FaultState.ACTIVE,
            opened_at=timezone.now(),
        )
        for owner in runs
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return fault


def test_api_admin_and_query_agree_on_what_is_outstanding(
    left: Fault, admin_user: User, admin_client: Client
) -> None:
    ci = program(admin_user)
    assert [row["id"] for row in ci.get("faults?outstanding=true").json()["items"]] == [left.pk]
    told = ci.get("faults?limit=200").json()["items"]
    assert [row["id"] for row in told if row["outstanding"]] == []  # it is the oldest, on the next page
    assert ci.get(f"faults/{left.pk}").json()["outstanding"] is True
    assert list(Fault.objects.outstanding()) == [left]
    assert [fault for fault in Fault.objects.select_related("run") if fault.is_outstanding] == [left]
    assert "1 fault" in admin_client.get("/admin/scenarios/fault/?left=yes").content.decode()


@pytest.mark.parametrize("run_state", RunState)
def test_query_and_property_agree_on_what_is_outstanding(run_state: RunState) -> None:
    ends = {"outcome": "passed", "rollback": "clean", "finished_at": timezone.now()}
    holds = {"lease_until": timezone.now()} if run_state == RunState.RUNNING else {}
    fields = ends if run_state == RunState.FINISHED else holds
    run = Run.objects.create(scenario_name="a", document="", state=run_state, started_from="cli", **fields)
    for order, state in enumerate(FaultState):
        step = {"driver": "http", "arguments": {}}
        Fault.objects.create(
            run=run,
            order=order,
            phase="p",
            action="a",
            driver="http",
            undo=step,
            timeout=5,
            state=state,
            opened_at=timezone.now(),
        )
    by_query = set(Fault.objects.outstanding())
    assert by_query == {fault for fault in Fault.objects.all() if fault.is_outstanding}
    assert {fault.state for fault in by_query} == (
        set(OUTSTANDING_STATES) if run_state == RunState.FINISHED else {FaultState.OUTSTANDING}
    )


def test_a_list_of_many_faults_takes_as_many_queries_as_an_empty_one(left: Fault, admin_user: User) -> None:
    ci = program(admin_user)
    counts = []
    for filters, expected in (("outstanding=true&state=watched", 0), ("limit=200", 200)):
        ci.get(f"faults?{filters}")  # the first one notes that the token was used
        with CaptureQueriesContext(connection) as queries:
            assert len(ci.get(f"faults?{filters}").json()["items"]) == expected
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_api_reads_no_run_that_has_left_nothing(left: Fault, admin_user: User) -> None:
    ci = program(admin_user)
    with CaptureQueriesContext(connection) as queries:
        answer = ci.get("faults?outstanding=true&limit=200")
    assert len(answer.json()["items"]) == 1
    (asked,) = [query["sql"] for query in queries if 'FROM "scenarios_fault"' in query["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # of so few rows it would read them all
            cursor.execute(f"EXPLAIN {asked}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, plan
            assert "scenarios_f_state" in plan, plan
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
            plan = "\n".join(row[3] for row in cursor.fetchall())
            assert "SCAN" not in plan, plan
            assert "scenarios_fault USING INDEX scenarios_f_state" in plan, plan
