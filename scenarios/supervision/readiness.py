"""What must work for a scenario to be carried out; each check uses the real part."""

from collections.abc import Callable
from datetime import timedelta
from tempfile import NamedTemporaryFile

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_tasks import default_task_backend
from django_tasks.exceptions import TaskException

from metrics_app.conf import conf
from scenarios.database.errors import encoding_problem
from scenarios.domain.worker_commands import WORKER_COMMANDS
from scenarios.models import DeletionRequest, Heartbeat, Run
from scenarios.runs.component_heartbeats import find_trouble

WATCHDOG_SILENT_AFTER = timedelta(seconds=10)
# The watchdog asks a worker for a beat every 5 seconds; a busy one shows itself by its lease.
WORKER_SILENT_AFTER = timedelta(seconds=30)


class NotReady(Exception):  # noqa: N818 - a state
    """One part does not work; the sentence says which, and how to repair it."""


def check_all() -> dict[str, str]:
    """What is wrong with each part, by its name; "" if nothing is."""
    return {name: find_problem(check) for name, check in CHECKS.items()}


def find_problem(check: Callable[[], None]) -> str:
    try:
        check()
    except NotReady as error:
        return str(error)
    except DatabaseError as error:
        return f"the database does not answer: {error}"
    return ""


def find_deletion_obstacle(request: DeletionRequest) -> str:
    """What keeps the deletion from going on; "" if nothing does."""
    return request.obstacle or find_problem(watchdog)


def database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    if problem := encoding_problem():
        raise NotReady(problem)


def migrations() -> None:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(str(migration) for migration, _backwards in missing[:3])
        raise NotReady(f"{len(missing)} migrations are missing ({names} …): run 'manage.py migrate'")


def queue() -> None:
    try:
        problems = [problem for problem in default_task_backend.check() if problem.is_serious()]
    except TaskException as error:
        raise NotReady(f"the task queue cannot be used: {error}") from error
    if problems:
        raise NotReady(f"the task queue is misconfigured: {problems[0]}")
    if settings.TASK_BACKEND == "rq":
        redis()


def redis() -> None:
    from django_rq import get_connection  # noqa: PLC0415 - an app of its own, there with this backend alone
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        get_connection().ping()
    except RedisError as error:
        raise NotReady(f"Redis does not answer at REDIS_URL: {error}") from error


def worker() -> None:
    now = timezone.now()
    if trouble := find_trouble("worker", since=now - WORKER_SILENT_AFTER):
        raise NotReady(trouble)
    if not _is_alive("worker", WORKER_SILENT_AFTER) and not Run.objects.alive(now).exists():
        raise NotReady(
            f"no worker has been seen for {WORKER_SILENT_AFTER.seconds} s: "
            f"start one with 'manage.py {WORKER_COMMANDS[settings.TASK_BACKEND]}'"
        )


def watchdog() -> None:
    if not _is_alive("watchdog", WATCHDOG_SILENT_AFTER):
        raise NotReady(
            f"no watchdog has been seen for {WATCHDOG_SILENT_AFTER.seconds} s: "
            "start one with 'manage.py watchdog'"
        )
    since = timezone.now() - WATCHDOG_SILENT_AFTER
    if trouble := find_trouble("watchdog", since=since):
        raise NotReady(f"the watchdog is in trouble: {trouble}")


def _is_alive(name: str, silent_after: timedelta) -> bool:
    """Whether it was seen lately. A time far ahead was written before the clock was set back."""
    now = timezone.now()
    lately = (now - silent_after, now + silent_after)
    return Heartbeat.objects.filter(name=name, seen_at__range=lately).exists()


def metrics_directory() -> None:
    try:
        with NamedTemporaryFile(dir=conf.directory, prefix="ready-") as file:
            file.write(b"ready")
            file.flush()
    except OSError as error:
        raise NotReady(f"the metrics directory cannot be written: {error.strerror}") from error


CHECKS: dict[str, Callable[[], None]] = {
    "database": database,
    "migrations": migrations,
    "queue": queue,
    "worker": worker,
    "watchdog": watchdog,
    "metrics_directory": metrics_directory,
}
