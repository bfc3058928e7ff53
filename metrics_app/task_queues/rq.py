"""Jobs of RQ, which has no signals: its two methods through which every job goes are wrapped.

A job that a worker kills, because it took too long or was stopped, has no end that its process could report.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.apps import apps
from django.utils import timezone
from rq import Queue
from rq.job import Job

from metrics_app import metrics
from metrics_app.ports import GaugeSample
from metrics_app.task_queues import recorder
from metrics_app.task_queues.recorder import TaskRecorder

UNKNOWN = "unknown"
"""The name of a job whose function cannot be found any more."""

_tasks = TaskRecorder()
_is_watching = False


def watch() -> None:
    global _is_watching  # noqa: PLW0603 - one per process
    if _is_watching:
        return
    _is_watching = True
    Queue._enqueue_job = count_enqueued(Queue._enqueue_job)  # type: ignore[method-assign]  # noqa: SLF001 - above
    Job.perform = record(Job.perform)  # type: ignore[method-assign,assignment]
    if apps.is_installed("django_rq"):
        metrics.read_at_scrape(read_queues)


def count_enqueued(enqueue: Callable[..., Job]) -> Callable[..., Job]:
    @wraps(enqueue)
    def enqueue_and_count(queue: Queue, job: Job, *args: Any, **kwargs: Any) -> Job:
        done = enqueue(queue, job, *args, **kwargs)
        if not _is_recorded_as_task(job):
            recorder.enqueued.labels(_find_name(job), queue.name).inc()
        return done

    return enqueue_and_count


def record(perform: Callable[[Job], Any]) -> Callable[[Job], Any]:
    @wraps(perform)
    def perform_and_record(job: Job) -> Any:
        if _is_recorded_as_task(job):
            return perform(job)
        could_begin = job.enqueued_at.timestamp() if job.enqueued_at is not None else None
        with _tasks.carrying_out(job.id, _find_name(job), job.origin or "", could_begin):
            return perform(job)

    return perform_and_record


def read_queues() -> Iterator[GaugeSample]:
    """How many jobs wait in each queue of django-rq, and for how long the oldest has."""
    from django_rq.queues import get_queue  # noqa: PLC0415 - installed where this is called
    from django_rq.settings import QUEUES  # noqa: PLC0415 - as above

    for queue in map(get_queue, QUEUES):
        ids = queue.get_job_ids(0, 1)
        first = Job.fetch(ids[0], connection=queue.connection) if ids else None
        since = first.enqueued_at if first is not None else None
        waited = (timezone.now() - since).total_seconds() if since is not None else 0.0
        yield recorder.queued.sample(queue.count, queue=queue.name)
        yield recorder.oldest.sample(max(0.0, waited), queue=queue.name)


def _is_recorded_as_task(job: Job) -> bool:
    """Whether the job carries a task of Django, which signals report."""
    return type(job).__module__.startswith("django_tasks")


def _find_name(job: Job) -> str:
    try:
        return str(job.func_name)
    except Exception:  # noqa: BLE001 - whatever reading a pickled call raises
        return UNKNOWN
