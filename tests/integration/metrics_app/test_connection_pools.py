"""Pools of database connections: Django's option `pool` on a real PostgreSQL."""

import threading
from collections.abc import Iterator
from typing import Any

import environ
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.dummy.base import DatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.utils import ConnectionHandler

from metrics_app import connection_pools
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from tests.metrics_settings import override_metrics
from tests.servers.loopback import wait_for
from tests.servers.postgresql import PostgreSQL

pytestmark = pytest.mark.postgresql


@pytest.fixture
def databases(
    postgresql_server: PostgreSQL,
    monkeypatch: pytest.MonkeyPatch,
    metrics: InMemoryMetricsAdapter,
    django_db_blocker: Any,
) -> Iterator[ConnectionHandler]:
    database = environ.Env.db_url_config(postgresql_server.new_database())
    pool = {"min_size": 1, "max_size": 2, "timeout": 120}
    handler = ConnectionHandler({"default": {**database, "CONN_MAX_AGE": 0, "OPTIONS": {"pool": pool}}})
    monkeypatch.setattr(BaseDatabaseWrapper, "close", BaseDatabaseWrapper.close)
    with override_metrics(DATABASE=True), django_db_blocker.unblock():
        connection_pools.watch()
        yield handler
        connection_created.disconnect(dispatch_uid=connection_pools._MARK)
        handler["default"].close()
        handler["default"].close_pool()  # type: ignore[attr-defined]


def read(metrics: InMemoryMetricsAdapter) -> tuple[float, float, float]:
    """Connections in use, largest number, and threads that wait."""
    return (
        metrics.value("database_pool_connections", {"alias": "default", "state": "in_use"}),
        metrics.value("database_pool_max_connections", {"alias": "default"}),
        metrics.value("database_pool_requests_waiting", {"alias": "default"}),
    )


def test_a_pool_shows_what_is_in_use_and_who_waits(
    databases: ConnectionHandler, metrics: InMemoryMetricsAdapter
) -> None:
    taken, end = threading.Semaphore(0), threading.Event()

    def use() -> None:
        databases["default"].ensure_connection()
        taken.release()
        assert end.wait(120)
        databases["default"].close()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads[:2]:
        thread.start()
        assert taken.acquire(timeout=120)
    assert read(metrics) == (2, 2, 0)
    threads[2].start()
    pool = databases["default"].pool  # type: ignore[attr-defined]
    wait_for(lambda: pool.get_stats()["requests_waiting"] == 1, what="a thread waits")
    connection_pools.record(databases["default"])
    assert read(metrics) == (2, 2, 1)
    end.set()
    for thread in threads:
        thread.join(120)
    connection_pools.record(databases["default"])
    assert read(metrics) == (0, 2, 0)


def test_a_pool_that_breaks_fails_nothing(
    databases: ConnectionHandler, metrics: InMemoryMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_metrics(DATABASE=True, ON_MISUSE="log"):
        monkeypatch.setattr(databases["default"].pool, "get_stats", lambda: None)  # type: ignore[attr-defined]
        databases["default"].ensure_connection()
        databases["default"].close()
        labels = {"metric": "database_pool_connections", "kind": "other"}
        assert metrics.value("metrics_misused_total", labels) == 2


class OraclePool:
    """What is read of python-oracledb's pool, which needs no server for it, but is not installed here."""

    opened, busy, max = 5, 3, 7


def test_a_pool_of_oracle_shows_what_is_in_use(metrics: InMemoryMetricsAdapter) -> None:
    connection = DatabaseWrapper({"OPTIONS": {}}, alias="default")
    connection.pool = OraclePool()  # type: ignore[attr-defined]
    with override_metrics(DATABASE=True):
        connection_pools.record(connection)
        assert read(metrics) == (3, 7, 0)
        assert metrics.value("database_pool_connections", {"alias": "default", "state": "idle"}) == 2
