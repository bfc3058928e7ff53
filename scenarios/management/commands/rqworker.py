"""`manage.py rqworker`: RQ's simple worker, extended to survive outages and to be drained."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django_rq.management.commands import rqworker

from scenarios.checks import BEFORE_COMMANDS
from scenarios.domain.worker_commands import WORKER_COMMANDS
from scenarios.supervision.long_running import end_in_the_log

MAX_WAIT_SECONDS = 5.0
# Long enough that an idle worker seldom polls, short enough to notice a Redis that hangs.
WORKER_TTL_SECONDS = 60


class Command(rqworker.Command):
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)  # type: ignore[no-untyped-call]
        parser.set_defaults(
            worker_class="rq.SimpleWorker",
            job_class="django_tasks_rq.Job",
            worker_ttl=WORKER_TTL_SECONDS,
        )

    def handle(self, *queues: str, **options: Any) -> None:
        if settings.TASK_BACKEND != "rq":
            raise CommandError(
                f"TASK_BACKEND is {settings.TASK_BACKEND!r}, but this worker serves only 'rq'; "
                f"start 'manage.py {WORKER_COMMANDS[settings.TASK_BACKEND]}'."
            )
        # Imported late, because django_rq reads its settings on import.
        from scenarios.supervision import rq_worker  # noqa: PLC0415

        options["worker_class"] = rq_worker.find_worker_class(options["worker_class"])
        rq_worker.check_job_class(options["job_class"])
        with end_in_the_log("The worker"):
            ends_by_itself = options["burst"] or options["max_jobs"] or options["max_idle_time"]
            wait = 0.25
            while not rq_worker.work(queues, **options) and not ends_by_itself:
                time.sleep(wait)
                wait = min(MAX_WAIT_SECONDS, 2 * wait)
