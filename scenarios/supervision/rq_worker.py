"""RQ's worker as runs need it: in one process, surviving outages of Redis, drained by SIGUSR1.

RQ's usual worker carries out a task in a child process and does not pass SIGTERM on to it, so that a run
would not notice that it must end.
"""

import logging
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Any

import django_tasks_rq
from django.core.management.base import CommandError
from django_rq.utils import reset_db_connections
from django_rq.workers import get_worker
from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.logutils import setup_loghandlers
from rq.utils import import_attribute
from rq.worker import SimpleWorker, WorkerStatus

from scenarios.domain.outages import Outage

logger = logging.getLogger(__name__)

LEVELS = {0: "WARNING", 1: "INFO"}
REDIS_LINE = "could not connect to Redis"
redis_outage = Outage("Redis")


class EnduringWorker(SimpleWorker):
    """Knows whether it was asked to end; any other end is an outage."""

    max_connection_wait_time = 5.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.was_asked_to_end = False

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGUSR1, self.drain)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.was_asked_to_end = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def drain(self, _number: int, _frame: FrameType | None) -> None:
        """End after the present task, without telling Redis, which may be away."""
        self.log.warning("Worker %s: draining: it takes no other task, and ends", self.name)
        self.was_asked_to_end = self._stop_requested = True
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested

    def heartbeat(self, *arguments: Any, **options: Any) -> None:
        super().heartbeat(*arguments, **options)
        redis_outage.note_success()


class OneLinePerOutage(logging.Filter):
    """RQ logs every try to reach Redis, from two threads; this keeps one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        if REDIS_LINE not in str(record.msg):
            return True
        words = record.getMessage().partition(f"{REDIS_LINE} instance: ")[2]
        redis_outage.note_failure(RedisError(words))
        return False


def find_worker_class(name: str) -> type[EnduringWorker]:
    """The class with this name; RQ's own classes are made to survive outages.

    Raises:
        CommandError: it carries out runs in a child process, or is not a worker.
    """
    try:
        found = import_attribute(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CommandError(f"There is no worker class {name!r}: {error}.") from error
    if found in (SimpleWorker, EnduringWorker):
        return EnduringWorker
    if isinstance(found, type) and issubclass(found, EnduringWorker):
        return found
    raise CommandError(
        f"The worker class {name!r} may carry runs out in a child process, where they do not hear that they "
        "are to end: use 'rq.SimpleWorker', which is the default."
    )


def check_job_class(name: str) -> None:
    """Raises CommandError if it is not the class of the task backend's messages."""
    try:
        found = import_attribute(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CommandError(f"There is no job class {name!r}: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, django_tasks_rq.Job)):
        raise CommandError(f"The job class {name!r} is not 'django_tasks_rq.Job', which is the default.")


def work(queues: Sequence[str], **options: Any) -> bool:
    """Work until the worker is asked to end, or Redis is away; return whether it was asked."""
    level = LEVELS.get(options["verbosity"], "DEBUG")
    setup_loghandlers(level)
    add_filter(logging.getLogger("rq.worker"))
    names = ("worker_class", "queue_class", "job_class", "name", "worker_ttl", "serializer")
    worker: Any = None
    try:
        worker = get_worker(*queues, **{name: options[name] for name in names})
        reset_db_connections()
        worker.work(
            burst=options["burst"],
            with_scheduler=options["with_scheduler"],
            logging_level=level,
            max_jobs=options["max_jobs"],
            max_idle_time=options["max_idle_time"],
        )
    except StopRequested:
        return True
    except (RedisError, OSError) as error:
        redis_outage.note_failure(error)
        if worker is not None and worker.pubsub_thread is not None:
            worker.pubsub_thread.stop()  # RQ leaves it if it could not tell Redis that it ends
    return worker is not None and bool(worker.was_asked_to_end)


def add_filter(rq_logger: logging.Logger) -> None:
    if not any(isinstance(each, OneLinePerOutage) for each in rq_logger.filters):
        rq_logger.addFilter(OneLinePerOutage())
