"""Queries and connections of a real database, where a setting asks for them."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import Error, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from metrics_app import database, migration_state
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.backend import get_metrics
from tests.metrics_settings import override_metrics

pytestmark = pytest.mark.django_db

DEFAULT = {"alias": "default"}


@pytest.fixture
def opened() -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own to the database of the tests, opened by the first query."""
    other = connection.copy()
    with override_metrics(DATABASE=True):
        yield other
    disconnect(other)


def disconnect(database: BaseDatabaseWrapper) -> None:
    # Not by Django's own method: it leaves an in-memory database connected.
    if database.connection is not None:
        database.connection.close()
        database.connection = None


def counted(metrics: InMemoryMetricsAdapter, what: str) -> float:
    # Not by a scrape: the gauges that are read from the database then are queries as well.
    return metrics.value(f"database_{what}_total", DEFAULT)


def durations(metrics: InMemoryMetricsAdapter) -> list[float]:
    return metrics.observations("database_query_duration_seconds", DEFAULT)


def query(database: BaseDatabaseWrapper, sql: str = "SELECT 1") -> None:
    with database.cursor() as cursor:
        cursor.execute(sql)


def test_every_query_is_counted_and_timed_by_its_alias(
    opened: BaseDatabaseWrapper, metrics: InMemoryMetricsAdapter
) -> None:
    for _ in range(3):
        query(opened)
    assert counted(metrics, "queries") == len(durations(metrics)) == 3
    assert all(0 < seconds < 600 for seconds in durations(metrics))
    assert counted(metrics, "query_errors") == 0


def test_a_query_that_fails_is_counted_as_an_error_too(
    opened: BaseDatabaseWrapper, metrics: InMemoryMetricsAdapter
) -> None:
    with pytest.raises(Error):
        query(opened, "SELECT nothing FROM nowhere")
    assert counted(metrics, "queries") == counted(metrics, "query_errors") == len(durations(metrics)) == 1


def test_many_rows_sent_at_once_are_one_query(
    opened: BaseDatabaseWrapper, metrics: InMemoryMetricsAdapter
) -> None:
    query(opened, "CREATE TEMPORARY TABLE numbers (number integer)")
    with opened.cursor() as cursor:
        cursor.executemany("INSERT INTO numbers VALUES (%s)", [(number,) for number in range(10)])
    assert counted(metrics, "queries") == 2


def test_a_connection_opened_again_is_counted_again_and_its_queries_once(
    opened: BaseDatabaseWrapper, metrics: InMemoryMetricsAdapter
) -> None:
    for _ in range(2):
        query(opened)
        disconnect(opened)
    assert counted(metrics, "connections_opened") == counted(metrics, "queries") == 2


async def test_queries_of_async_code_are_counted(metrics: InMemoryMetricsAdapter) -> None:
    def ask() -> None:
        other = connection.copy()
        query(other)
        disconnect(other)

    with override_metrics(DATABASE=True):
        await asyncio.to_thread(ask)
    assert counted(metrics, "connections_opened") == counted(metrics, "queries") == 1


def test_nothing_stands_around_queries_unless_a_setting_asks(
    metrics: InMemoryMetricsAdapter,
) -> None:
    other = connection.copy()
    query(other)
    disconnect(other)
    assert other.execute_wrappers == []
    assert counted(metrics, "connections_opened") == counted(metrics, "queries") == 0


def test_a_wrapper_around_the_opening_of_a_connection_takes_itself_away_and_not_the_count(
    opened: BaseDatabaseWrapper, metrics: InMemoryMetricsAdapter
) -> None:
    def passed_on(execute: Callable[..., Any], *arguments: Any) -> Any:
        return execute(*arguments)

    with opened.execute_wrapper(passed_on):
        query(opened)
    assert passed_on not in opened.execute_wrappers
    query(opened)
    assert counted(metrics, "queries") == 2


def test_an_attempt_to_connect_that_fails_is_counted(
    opened: BaseDatabaseWrapper, metrics: InMemoryMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseDatabaseWrapper, "connect", BaseDatabaseWrapper.connect)
    database.count_failed_connections()
    nowhere = {"sqlite": "/nowhere/at/all.sqlite3", "postgresql": "no_such_database"}[opened.vendor]
    opened.settings_dict = {**opened.settings_dict, "NAME": nowhere}
    for _ in range(2):
        with pytest.raises(Error):
            opened.ensure_connection()
    assert (counted(metrics, "connection_errors"), counted(metrics, "connections_opened")) == (2, 0)


def test_migrations_are_counted_as_applied_and_pending(metrics: InMemoryMetricsAdapter) -> None:
    def read() -> list[float]:
        return [sample.value for sample in migration_state.read()]

    recorder = MigrationRecorder(connection)
    with override_metrics(DATABASE=True):
        applied, pending = read()
        assert applied > 50
        assert pending == 0
        recorder.record_unapplied(
            *next(found for found in migration_state.find_on_disk() if found[0] == "auth")
        )
        assert read() == [applied - 1, 1]
    with override_metrics(DATABASE=True, NAMES="django-prometheus"):
        found = {sample.name: (dict(sample.labels), sample.value) for sample in migration_state.read()}
        assert found["django_migrations_applied_total"][1] >= applied - 1
        assert found["django_migrations_unapplied_total"] == ({"connection": "default"}, 1)
        for name, (labels, number) in found.items():
            get_metrics().set_gauge(name, number, labels)  # refused if it was not declared so
    with override_metrics(DATABASE=False):
        assert read() == []
