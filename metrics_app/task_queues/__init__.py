"""Metrics of background tasks, if the setting TASKS asks for them: one module per kind of queue."""

from importlib.util import find_spec


def watch_installed() -> None:
    """Record the tasks of every library that is installed. Calling it twice changes nothing."""
    if find_spec("django_tasks") or find_spec("django.tasks"):
        from metrics_app.task_queues import django_tasks  # noqa: PLC0415 - needs the library

        django_tasks.watch()
    if find_spec("celery"):
        from metrics_app.task_queues import celery  # noqa: PLC0415 - needs the library

        celery.watch()
    if find_spec("rq"):
        from metrics_app.task_queues import rq  # noqa: PLC0415 - needs the library

        rq.watch()
