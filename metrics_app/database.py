"""Connections, queries, their duration and failures, if the setting DATABASE asks for them.

A query is what one `execute` or `executemany` sends; fetching its rows is not timed. If the database has a
pool, a connection counts as opened each time it is taken from there.
"""

from collections.abc import Callable, Sized
from contextvars import ContextVar
from functools import wraps
from time import perf_counter
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from metrics_app import store_schemes
from metrics_app.backend import BoundByAlias
from metrics_app.catalogue import (
    DATABASE_CONNECTION_ERRORS,
    DATABASE_CONNECTIONS,
    DATABASE_QUERIES,
    DATABASE_QUERY_DURATION,
    DATABASE_QUERY_ERRORS,
)
from metrics_app.conf import conf
from metrics_app.ports import MetricsPort

_MARK = "_failures_are_counted_by_metrics_app"


class DatabaseRecorder:
    """The metrics of one database, bound once."""

    __slots__ = ("_connection_errors", "_connections", "_durations", "_errors", "_queries")

    def __init__(self, metrics: MetricsPort, alias: str) -> None:
        labels = {"alias": alias}
        self._connections = metrics.bind_counter(DATABASE_CONNECTIONS, labels)
        self._connection_errors = metrics.bind_counter(DATABASE_CONNECTION_ERRORS, labels)
        self._queries = metrics.bind_counter(DATABASE_QUERIES, labels)
        self._errors = metrics.bind_counter(DATABASE_QUERY_ERRORS, labels)
        self._durations = metrics.bind_histogram(DATABASE_QUERY_DURATION, labels)

    def count_connection(self) -> None:
        self._connections.inc()

    def count_failed_connection(self) -> None:
        self._connection_errors.inc()

    def count_error(self, _error: Exception) -> None:
        self._errors.inc()

    def count_query(self, seconds: float, _batch: Any) -> None:
        """`_batch` is what `executemany` sends, None if it is one query."""
        self._durations.observe(seconds)
        self._queries.inc()


class DjangoPrometheusRecorder(DatabaseRecorder):
    """The same by the names of django-prometheus."""

    __slots__ = ("_batches", "_labels", "_metrics")

    def __init__(self, metrics: MetricsPort, alias: str) -> None:
        self._metrics = metrics
        self._labels = {"alias": alias, "vendor": connections[alias].vendor}
        self._connections = metrics.bind_counter(store_schemes.NEW_CONNECTIONS, self._labels)
        self._connection_errors = metrics.bind_counter(store_schemes.NEW_CONNECTION_ERRORS, self._labels)
        self._queries = metrics.bind_counter(store_schemes.EXECUTE, self._labels)
        self._batches = metrics.bind_counter(store_schemes.EXECUTE_MANY, self._labels)
        self._durations = metrics.bind_histogram(store_schemes.QUERY_DURATION, self._labels)

    def count_failed_connection(self) -> None:
        self._connections.inc()
        self._connection_errors.inc()

    def count_error(self, error: Exception) -> None:
        labels = {**self._labels, "type": type(error).__name__}
        self._metrics.inc_counter(store_schemes.DATABASE_ERRORS, labels)

    def count_query(self, seconds: float, batch: Any) -> None:
        self._durations.observe(seconds)
        if batch is None:
            self._queries.inc()
        else:
            number = float(len(batch)) if isinstance(batch, Sized) else 1.0
            self._queries.inc(number)
            self._batches.inc(number)


def _make_recorder(metrics: MetricsPort, alias: str) -> DatabaseRecorder:
    kind = DjangoPrometheusRecorder if conf.names == "django-prometheus" else DatabaseRecorder
    return kind(metrics, alias)


request_queries: ContextVar[list[float] | None] = ContextVar("request_queries", default=None)
"""The number of queries of one request and their seconds together, the last two numbers of a list.

Async code and its threads share it.
"""

recorders = BoundByAlias(_make_recorder)


class QueryWrapper:
    """Wraps each query of a connection, as one of Django's execute wrappers."""

    __slots__ = ("_alias",)

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        recorder = recorders.of(self._alias)
        start = perf_counter()
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            recorder.count_error(error)
            raise
        finally:
            recorder.count_query(perf_counter() - start, params if many else None)


class RequestQueryWrapper:
    """Counts each query of a connection for the request that it belongs to."""

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        counted = request_queries.get()
        if counted is None:
            return execute(sql, params, many, context)
        start = perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            counted[-2] += 1.0
            counted[-1] += perf_counter() - start


def record_connection(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Count a connection, and its queries from now on: receives the signal `connection_created`."""
    if conf.database:
        recorders.of(connection.alias).count_connection()
        _wrap_queries(connection, QueryWrapper(connection.alias))
    if "queries" in conf.request_details:
        _wrap_queries(connection, RequestQueryWrapper())


def _wrap_queries(connection: BaseDatabaseWrapper, wrapper: Callable[..., Any]) -> None:
    # A connection that is opened again keeps its wrappers.
    if not any(isinstance(present, type(wrapper)) for present in connection.execute_wrappers):
        # First, because code that opens it within `execute_wrapper()` removes the last one at its end.
        connection.execute_wrappers.insert(0, wrapper)


def count_failed_connections() -> None:
    """Count each attempt to connect that fails, from now on. Calling it twice changes nothing."""
    if not hasattr(BaseDatabaseWrapper.connect, _MARK):
        counted = _count_failures(BaseDatabaseWrapper.connect)
        setattr(counted, _MARK, True)
        BaseDatabaseWrapper.connect = counted  # type: ignore[method-assign]


def _count_failures(connect: Callable[..., None]) -> Callable[..., None]:
    @wraps(connect)
    def connect_and_count(connection: BaseDatabaseWrapper) -> None:
        try:
            connect(connection)
        except Exception:
            if conf.database:
                recorders.of(connection.alias).count_failed_connection()
            raise

    return connect_and_count
