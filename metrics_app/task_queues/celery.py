"""Tasks of Celery, under every pool, by its signals.

https://docs.celeryq.dev/en/stable/userguide/signals.html#task-signals
"""

import time
from datetime import datetime
from typing import Any

from celery import signals  # type: ignore[import-untyped]

from metrics_app.task_queues import recorder
from metrics_app.task_queues.recorder import TaskRecorder

ENQUEUED_AT = "metrics_enqueued_at"
"""The header of a message that says when it was sent, in Unix time."""
OUTCOMES = {
    "SUCCESS": recorder.SUCCEEDED,
    "FAILURE": recorder.FAILED,
    "RETRY": recorder.RETRIED,
    "REVOKED": recorder.REVOKED,
}

_tasks = TaskRecorder()


def watch() -> None:
    signals.before_task_publish.connect(note_time, dispatch_uid="metrics_app")
    signals.after_task_publish.connect(count_enqueued, dispatch_uid="metrics_app")
    signals.task_prerun.connect(begin, dispatch_uid="metrics_app")
    signals.task_postrun.connect(end, dispatch_uid="metrics_app")
    signals.task_revoked.connect(count_revoked, dispatch_uid="metrics_app")


def note_time(*, headers: Any = None, **_: Any) -> None:
    if isinstance(headers, dict):
        headers[ENQUEUED_AT] = time.time()


def count_enqueued(*, sender: Any = None, routing_key: Any = None, **_: Any) -> None:
    recorder.enqueued.labels(str(sender), str(routing_key or "")).inc()


def begin(*, task_id: Any, task: Any, **_: Any) -> None:
    _tasks.begin(str(task_id), task.name, _find_queue(task.request), _find_time(task.request))


def end(*, task_id: Any, state: Any = None, **_: Any) -> None:
    _tasks.end(str(task_id), OUTCOMES.get(str(state), recorder.FAILED))


def count_revoked(*, sender: Any, request: Any, **_: Any) -> None:
    """Count a task that was revoked before it began, or that expired."""
    recorder.finished.labels(sender.name, _find_queue(request), recorder.REVOKED).inc()


def _find_queue(request: Any) -> str:
    delivery = getattr(request, "delivery_info", None) or {}
    return str(delivery.get("routing_key") or "")


def _find_time(request: Any) -> float | None:
    """When the task could begin: when it was sent, or at its own time if that is later."""
    sent = getattr(request, ENQUEUED_AT, None)
    if not isinstance(sent, int | float):
        return None
    try:
        eta = datetime.fromisoformat(request.eta).timestamp() if request.eta else 0.0
    except (TypeError, ValueError):
        return None
    return max(float(sent), eta)
