"""Management commands, if the setting COMMANDS asks for them: last success, duration, exit code.

A command that cron starts writes into the directory of the running server, which exposes the values after the
command has ended. They are forgotten when the whole server stops.
"""

from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from metrics_app import metrics
from metrics_app.conf import conf

COMMAND_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400, 43200, 86400)
KILLED_BY_INTERRUPT = 130

finished = metrics.counter(
    "management_commands_finished_total",
    "Management commands that ended: succeeded or failed.",
    ("command", "outcome"),
)
durations = metrics.histogram(
    "management_command_duration_seconds", "Duration of management commands.", ("command",), COMMAND_BUCKETS
)
exit_codes = metrics.gauge(
    "management_command_last_exit_code", "Exit code of the last execution that ended.", ("command",)
)
successes = metrics.gauge(
    "management_command_last_success_timestamp_seconds",
    "When the last execution that succeeded ended, in Unix time.",
    ("command",),
)
in_progress = metrics.gauge(
    "management_commands_in_progress",
    "Management commands that are running.",
    ("command",),
    merge="sum_of_living",
)

_MARK = "_is_recorded_by_metrics_app"


def watch() -> None:
    """Record every command from now on, also those that other code calls."""
    if not hasattr(BaseCommand.execute, _MARK):
        BaseCommand.execute = record(BaseCommand.execute)  # type: ignore[method-assign]
        setattr(BaseCommand.execute, _MARK, True)


def record(execute: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(execute)
    def execute_and_record(command: BaseCommand, *args: Any, **options: Any) -> Any:
        if not conf.commands:
            return execute(command, *args, **options)
        name = type(command).__module__.rpartition(".")[2]
        in_progress.labels(name).inc()
        start = perf_counter()
        code = 0
        try:
            return execute(command, *args, **options)
        except BaseException as error:
            code = find_exit_code(error)
            raise
        finally:
            _record_end(name, perf_counter() - start, code)

    return execute_and_record


def _record_end(name: str, seconds: float, code: int) -> None:
    durations.labels(name).observe(seconds)
    in_progress.labels(name).dec()
    finished.labels(name, "failed" if code else "succeeded").inc()
    exit_codes.labels(name).set(code)
    if not code:
        successes.labels(name).set_to_current_time()


def find_exit_code(error: BaseException) -> int:
    """The exit code of a process that ends with this error."""
    if isinstance(error, CommandError):
        return error.returncode
    if isinstance(error, KeyboardInterrupt):
        return KILLED_BY_INTERRUPT
    if isinstance(error, SystemExit) and not isinstance(error.code, str):
        return error.code or 0
    return 1
