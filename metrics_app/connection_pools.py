"""Pools of database connections, if the setting DATABASE asks for them.

PostgreSQL and Oracle have them, by Django's option `pool`. Each process has its own pools; the sum over the
live processes is exposed. A process records the state of a pool whenever it has taken a connection from it or
given one back.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from metrics_app import metrics
from metrics_app.conf import conf
from metrics_app.misuse import report

pooled = metrics.gauge(
    "database_pool_connections",
    "Connections that the pools hold, by whether they are in use.",
    ("alias", "state"),
    merge="sum_of_living",
)
largest = metrics.gauge(
    "database_pool_max_connections",
    "Connections that the pools may hold.",
    ("alias",),
    merge="sum_of_living",
)
waiting = metrics.gauge(
    "database_pool_requests_waiting",
    "Threads that wait for a connection of a pool.",
    ("alias",),
    merge="sum_of_living",
)

_MARK = "_pools_are_measured_by_metrics_app"


def watch() -> None:
    """Measure pools from now on. Calling it twice changes nothing."""
    connection_created.connect(record_taken, dispatch_uid=_MARK)
    if not hasattr(BaseDatabaseWrapper.close, _MARK):
        measured = record_given_back(BaseDatabaseWrapper.close)
        setattr(measured, _MARK, True)
        BaseDatabaseWrapper.close = measured  # type: ignore[method-assign, assignment]


def record_taken(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    record(connection)


def record_given_back(close: Callable[[BaseDatabaseWrapper], None]) -> Callable[[BaseDatabaseWrapper], None]:
    @wraps(close)
    def close_and_record(connection: BaseDatabaseWrapper) -> None:
        was_open = connection.connection is not None
        close(connection)
        if was_open:
            record(connection)

    return close_and_record


class Pooled(NamedTuple):
    """The connections of one pool; `waiting` is None if the pool does not report it."""

    in_use: int
    idle: int
    most: int
    waiting: int | None


def read_psycopg(pool: Any) -> Pooled:
    found: dict[str, int] = pool.get_stats()
    size, idle = found.get("pool_size", 0), found.get("pool_available", 0)
    return Pooled(size - idle, idle, found.get("pool_max", 0), found.get("requests_waiting", 0))


def read_oracledb(pool: Any) -> Pooled:
    return Pooled(pool.busy, pool.opened - pool.busy, pool.max, None)


def record(connection: BaseDatabaseWrapper) -> None:
    """Record the state of this connection's pool, if it has one."""
    if not conf.database:
        return
    try:
        pool = getattr(connection, "pool", None)
        if pool is None:
            return
        found = read_psycopg(pool) if hasattr(pool, "get_stats") else read_oracledb(pool)
        pooled.labels(connection.alias, "in_use").set(found.in_use)
        pooled.labels(connection.alias, "idle").set(found.idle)
        largest.labels(connection.alias).set(found.most)
        if found.waiting is not None:
            waiting.labels(connection.alias).set(found.waiting)
    except Exception as error:  # noqa: BLE001 - whatever a pool raises: no request fails because of it
        report("database_pool_connections", error)
