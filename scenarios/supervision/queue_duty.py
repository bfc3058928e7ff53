"""The watchdog's messages to the queue: runs that may begin, and a request that a worker reports itself."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from scenarios import tasks
from scenarios.models import Heartbeat
from scenarios.runs import task_queue

BEAT_EVERY = timedelta(seconds=5)
BEAT_LOST_AFTER = timedelta(seconds=30)
# While a worker is alive, a lost message costs no more than this.
ENQUEUE_AGAIN_SOON_AFTER = timedelta(seconds=5)
MAX_REST_SECONDS = 30.0


class QueueDuty:
    """One failure per round, and a longer rest after each: a queue that hangs costs its time limit."""

    def __init__(self) -> None:
        self._beat_asked_at = timezone.now() - BEAT_LOST_AFTER
        self._rest = 0.0

    def notify(self) -> None:
        now = timezone.now()
        worker_is_there = Heartbeat.objects.filter(name="worker", seen_at__gte=now - BEAT_LOST_AFTER).exists()
        again_after = ENQUEUE_AGAIN_SOON_AFTER if worker_is_there else task_queue.ENQUEUE_AGAIN_AFTER
        is_resting = task_queue.outage.failed_within(self._rest)
        # Also while the queue rests, so that runs learn what they wait for.
        runs = task_queue.find_runs_to_enqueue(now, again_after)
        enqueued = task_queue.enqueue_runs(runs, unless_away_for=self._rest)
        if not is_resting:
            succeeded = enqueued == len(runs) and self._ask_for_beat(now)
            self._rest = 0.0 if succeeded else min(MAX_REST_SECONDS, 2 * self._rest or 1.0)

    def _ask_for_beat(self, now: datetime) -> bool:
        """Returns False if the queue did not take the request."""
        worker = Heartbeat.objects.filter(name="worker").first()
        answered = worker is not None and worker.seen_at >= self._beat_asked_at
        is_away = task_queue.outage.failed_within(MAX_REST_SECONDS)
        if not is_away and now - self._beat_asked_at < (BEAT_EVERY if answered else BEAT_LOST_AFTER):
            return True
        if settings.TASK_BACKEND == "db":
            # RQ forgets results by itself.
            DBTaskResult.objects.finished().filter(task_path=tasks.beat.module_path).delete()
        try:
            tasks.ask_for_beat()
        except Exception as error:  # noqa: BLE001 - each queue has errors of its own
            task_queue.outage.note_failure(error)
            return False
        self._beat_asked_at = now
        task_queue.outage.note_success()
        return True
