"""Tasks of Django: of django.tasks since Django 6.0, and of its backport django-tasks.

https://docs.djangoproject.com/en/6.0/ref/signals/#django-tasks-signals
"""

from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from typing import Any

from django.apps import apps
from django.db.models import Count, Min, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from metrics_app import metrics
from metrics_app.ports import GaugeSample
from metrics_app.task_queues import recorder
from metrics_app.task_queues.recorder import TaskRecorder

SIGNALS = ("django.tasks.signals", "django_tasks.signals")
DATABASE_APP = "django_tasks_db"
DATABASE_LABEL = "django_tasks_database"

_tasks = TaskRecorder()
_is_watching_the_database = False


def watch() -> None:
    global _is_watching_the_database  # noqa: PLW0603 - one per process
    for module in SIGNALS:
        try:
            signals = import_module(module)
        except ImportError:
            continue
        signals.task_enqueued.connect(count_enqueued, dispatch_uid="metrics_app")
        signals.task_started.connect(begin, dispatch_uid="metrics_app")
        signals.task_finished.connect(end, dispatch_uid="metrics_app")
    if apps.is_installed(DATABASE_APP) and not _is_watching_the_database:
        _is_watching_the_database = True
        metrics.read_at_scrape(read_queues)


def count_enqueued(*, task_result: Any, **_: Any) -> None:
    recorder.enqueued.labels(task_result.task.module_path, task_result.task.queue_name).inc()


def begin(*, task_result: Any, **_: Any) -> None:
    task = task_result.task
    times = [moment for moment in (task_result.enqueued_at, task.run_after) if moment is not None]
    could_begin = max(times, default=None)
    _tasks.begin(
        str(task_result.id),
        task.module_path,
        task.queue_name,
        could_begin.timestamp() if could_begin is not None else None,
    )


def end(*, task_result: Any, **_: Any) -> None:
    succeeded = str(task_result.status) == "SUCCESSFUL"
    _tasks.end(str(task_result.id), recorder.SUCCEEDED if succeeded else recorder.FAILED)


def read_queues() -> Iterator[GaugeSample]:
    """How many tasks wait in each queue of the database backend, and for how long the oldest has."""
    results = apps.get_model(DATABASE_LABEL, "DBTaskResult").objects
    now = timezone.now()
    # The backend uses a date in the far future for tasks that may begin at once.
    at_once = Q(run_after__gt=datetime(9000, 1, 1, tzinfo=now.tzinfo))
    ready = results.filter(Q(run_after__lte=now) | at_once, status="READY").order_by()
    rows = ready.values("queue_name").annotate(
        tasks=Count("*"),
        oldest=Min("enqueued_at", filter=at_once),
        oldest_deferred=Min(Greatest("enqueued_at", "run_after"), filter=~at_once),
    )
    for row in rows:
        since = min(moment for moment in (row["oldest"], row["oldest_deferred"]) if moment is not None)
        yield recorder.queued.sample(row["tasks"], queue=row["queue_name"])
        yield recorder.oldest.sample(max(0.0, (now - since).total_seconds()), queue=row["queue_name"])
