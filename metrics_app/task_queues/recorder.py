"""The metrics of tasks, in any queue."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from metrics_app import metrics

TASK_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600)
LABELS = ("task", "queue")

SUCCEEDED = "succeeded"
FAILED = "failed"
RETRIED = "retried"
REVOKED = "revoked"

enqueued = metrics.counter("tasks_enqueued_total", "Tasks put into a queue.", LABELS)
started = metrics.counter("tasks_started_total", "Tasks that a worker began.", LABELS)
finished = metrics.counter(
    "tasks_finished_total",
    "Tasks that ended: succeeded, failed, retried or revoked.",
    (*LABELS, "outcome"),
)
durations = metrics.histogram("task_duration_seconds", "Duration of tasks.", LABELS, TASK_BUCKETS)
waits = metrics.histogram(
    "task_wait_seconds", "Time from the moment a task could begin until it began.", LABELS, TASK_BUCKETS
)
in_progress = metrics.gauge(
    "tasks_in_progress", "Tasks that workers are executing.", LABELS, merge="sum_of_living"
)
queued = metrics.gauge("tasks_queued", "Tasks that wait in a queue and could begin.", ("queue",))
oldest = metrics.gauge(
    "tasks_oldest_queued_seconds", "Time for which the oldest of these has waited.", ("queue",)
)


@dataclass(frozen=True, slots=True)
class RunningTask:
    task: str
    queue: str
    began: float
    """By a clock that nobody sets."""


class TaskRecorder:
    """Records tasks whose begin and end are reported separately, with the same id."""

    def __init__(self) -> None:
        self._running: dict[str, RunningTask] = {}

    def begin(self, task_id: str, task: str, queue: str, could_begin: float | None = None) -> None:
        """`could_begin`: since when, in Unix time, the task has waited; None if that is unknown."""
        started.labels(task, queue).inc()
        in_progress.labels(task, queue).inc()
        if could_begin is not None:
            # The clocks of two machines may differ.
            waits.labels(task, queue).observe(max(0.0, time.time() - could_begin))
        self._running[task_id] = RunningTask(task, queue, time.monotonic())

    def end(self, task_id: str, outcome: str) -> None:
        """Record the end of a task, unless it began in another process."""
        running = self._running.pop(task_id, None)
        if running is None:
            return
        durations.labels(running.task, running.queue).observe(time.monotonic() - running.began)
        in_progress.labels(running.task, running.queue).dec()
        finished.labels(running.task, running.queue, outcome).inc()

    @contextmanager
    def carrying_out(
        self, task_id: str, task: str, queue: str, could_begin: float | None = None
    ) -> Iterator[None]:
        """Record a task that runs inside the block; an exception is a failure."""
        self.begin(task_id, task, queue, could_begin)
        try:
            yield
        except BaseException:
            self.end(task_id, FAILED)
            raise
        self.end(task_id, SUCCEEDED)
