"""What the watchdog's duties cost the database: counted in queries, and looked at in its own plans."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scenarios.drivers import documents
from scenarios.language import document
from scenarios.models import Approval, Run, Schedule
from scenarios.planning import approvals, due
from scenarios.runs.component_heartbeats import record_heartbeat
from scenarios.supervision import retention
from tests.integration.scenarios.planned_rows import exchange, minute, scheduled, someone, stored

pytestmark = pytest.mark.django_db

MAX_QUERIES_OF_A_START = 12
STARTS = 30


@pytest.fixture
def schedule() -> Schedule:
    exchange()
    ann = someone("ann", "run_scenario")
    stored(by=ann)
    return scheduled(ann, due=minute())


@pytest.mark.django_db(transaction=True)
def test_a_scheduled_start_takes_few_queries_and_one_parse(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    parse = document.parse_document

    def counted(*arguments: Any, **named: Any) -> Any:
        parsed.append(arguments)
        return parse(*arguments, **named)

    monkeypatch.setattr(documents, "parse_document", counted)
    with CaptureQueriesContext(connection) as asked:
        assert due.start_due(minute()) == 1
    assert Run.objects.get().schedule == schedule
    assert len(asked) <= MAX_QUERIES_OF_A_START, "\n".join(query["sql"][:150] for query in asked)
    assert len(parsed) == 1


@pytest.mark.django_db(transaction=True)
def test_others_write_while_many_schedules_start(schedule: Schedule) -> None:
    for number in range(STARTS - 1):
        scheduled(schedule.changed_by, name=f"schedule-{number}", due=minute())
    written = 0
    over = threading.Event()

    def write() -> None:
        nonlocal written
        while not over.is_set():
            record_heartbeat("test", "writes")
            written += 1
            over.wait(0.005)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert due.start_due(minute()) == STARTS
    finally:
        over.set()
        writer.join()
    assert written >= STARTS


def test_a_look_for_approvals_is_one_query_where_nothing_is_protected(schedule: Schedule) -> None:
    author = schedule.changed_by
    for number in range(20):
        scheduled(author, name=f"schedule-{number}")
    with CaptureQueriesContext(connection) as asked:
        due.request_approvals()
    assert len(asked) == 1


def test_a_look_for_approvals_takes_as_many_queries_for_many_schedules_as_for_few(
    schedule: Schedule,
) -> None:
    author = schedule.changed_by
    exchange(is_protected=True)
    counts = []
    for lot in range(2):
        for number in range(10):
            scheduled(author, name=f"schedule-{lot}-{number}")
        due.request_approvals()  # asks, and reads the documents
        with CaptureQueriesContext(connection) as asked:
            due.request_approvals()
        counts.append(len(asked))
    assert counts[0] == counts[1]
    assert Approval.objects.pending().count() == Schedule.objects.count()


def test_request_for_an_approval_that_is_no_longer_needed_is_withdrawn(schedule: Schedule) -> None:
    exchange(is_protected=True)
    due.request_approvals()
    assert Approval.objects.pending().count() == 1
    exchange(is_protected=False)
    due.request_approvals()
    assert Approval.objects.pending().count() == 0
    assert approvals.compute_fingerprint(schedule)


def explain_query(rows: QuerySet[Any]) -> str:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # so few rows are read one by one otherwise
    return str(rows.explain())


def test_the_look_for_held_runs_reads_an_index_and_not_all_runs() -> None:
    plan = explain_query(Run.objects.held())
    assert "SCAN scenarios_run" not in plan
    assert "Seq Scan" not in plan
    if connection.vendor == "sqlite":  # PostgreSQL chooses among indexes by its statistics of a few rows
        assert "scenarios_r_state_8ca252_idx" in plan


def test_the_retention_begins_with_the_oldest_by_an_index_and_sorts_nothing() -> None:
    before = timezone.now() - timedelta(days=90)
    plan = explain_query(retention.select_old_runs(before)[:20])
    assert "scenarios_r_state_e3cffa_idx" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def test_a_batch_of_the_retention_takes_as_many_queries_for_many_runs_as_for_few() -> None:
    counts = []
    for runs in (3, 15):
        ended = timezone.now() - timedelta(days=91)
        for _ in range(runs):
            Run.objects.create(
                scenario_name="old",
                document="",
                state="finished",
                outcome="passed",
                rollback="clean",
                finished_at=ended,
            )
        with CaptureQueriesContext(connection) as asked:
            assert retention.prune(timezone.now() - timedelta(days=90), at_most=20) == runs
        counts.append(len(asked))
    assert counts[0] == counts[1]
