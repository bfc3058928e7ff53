"""Rows that models insert, update and delete, if the setting DATABASE asks for them.

Counted where Django sends them to the database: `save()`, `bulk_create()`, `bulk_update()`, `update()`,
`delete()`, cascades and many-to-many tables alike, none of which but `save()` and `delete()` of one object
has a signal. Rows that a transaction rolls back count, and rows that an insert ignores because of a conflict;
SQL that is not the ORM's does not.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db.models.sql import constants
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from metrics_app import metrics, store_schemes
from metrics_app.backend import BoundByAlias
from metrics_app.conf import conf
from metrics_app.recorders import BoundCounter

rows = metrics.counter(
    "model_rows_total", "Rows that models inserted, updated or deleted.", ("model", "operation")
)


def _bind_by_model(name: str) -> BoundByAlias[BoundCounter]:
    return BoundByAlias(lambda metrics, model: metrics.bind_counter(name, {"model": model}))


by_model = {
    "insert": _bind_by_model(store_schemes.MODEL_INSERTS),
    "update": _bind_by_model(store_schemes.MODEL_UPDATES),
    "delete": _bind_by_model(store_schemes.MODEL_DELETES),
}
"""By the names of django-prometheus."""

_MARK = "_is_counted_by_metrics_app"


def watch() -> None:
    """Count from now on. Calling it twice changes nothing."""
    compilers: dict[Any, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
        SQLInsertCompiler: count_inserted,
        SQLUpdateCompiler: count_updated,
        SQLDeleteCompiler: count_deleted,
    }
    for compiler, count in compilers.items():
        if not hasattr(compiler.execute_sql, _MARK):
            counted = count(compiler.execute_sql)
            setattr(counted, _MARK, True)
            compiler.execute_sql = counted


def count_inserted(execute: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(execute)
    def execute_and_count(compiler: Any, *args: Any, **kwargs: Any) -> Any:
        done = execute(compiler, *args, **kwargs)
        _count(compiler, "insert", len(compiler.query.objs))
        return done

    return execute_and_count


def count_updated(execute: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(execute)
    def execute_and_count(compiler: Any, result_type: Any) -> Any:
        if result_type == constants.NO_RESULTS:
            # The caller discards the number, but this method returns it. Before Django 5.2 it came with a
            # cursor.
            result_type = getattr(constants, "ROW_COUNT", constants.NO_RESULTS)
        done = execute(compiler, result_type)
        if compiler.query.values:  # else the number is that of a parent's table, which was counted
            _count(compiler, "update", _find_number(done))
        return done

    return execute_and_count


def count_deleted(execute: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(execute)
    def execute_and_count(compiler: Any, *args: Any, **kwargs: Any) -> Any:
        done = execute(compiler, *args, **kwargs)
        _count(compiler, "delete", _find_number(done))
        return done

    return execute_and_count


def _count(compiler: Any, operation: str, number: int) -> None:
    if number <= 0 or not conf.database:
        return
    model = compiler.query.model._meta  # noqa: SLF001 - documented
    if conf.names == "django-prometheus":
        by_model[operation].of(str(model.model_name)).inc(number)
    else:
        rows.labels(model.label, operation).inc(number)


def _find_number(done: Any) -> int:
    """Since Django 5.2 the number itself, before that a cursor; None if no query was sent."""
    number = getattr(done, "rowcount", done)
    return number if isinstance(number, int) else 0
