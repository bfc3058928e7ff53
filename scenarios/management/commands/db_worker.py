"""`manage.py db_worker`: the worker of django-tasks-db, extended to survive outages and to be drained."""

import logging
import signal
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import Error, connection, connections
from django_tasks_db.management.commands import db_worker
from django_tasks_db.models import DBTaskResult

from scenarios.checks import BEFORE_COMMANDS
from scenarios.database.errors import is_away
from scenarios.domain import outages
from scenarios.domain.worker_commands import WORKER_COMMANDS
from scenarios.supervision.long_running import end_in_the_log

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 5.0


class Command(db_worker.Command):
    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        if settings.TASK_BACKEND != "db":
            parser.set_defaults(backend_name=None)  # `handle` refuses, with a hint

    def handle(self, **options: Any) -> None:
        if settings.TASK_BACKEND != "db":
            raise CommandError(
                f"TASK_BACKEND is {settings.TASK_BACKEND!r}, but this worker serves only 'db'; "
                f"start 'manage.py {WORKER_COMMANDS[settings.TASK_BACKEND]}'."
            )
        db_worker.Worker = EnduringWorker  # type: ignore[misc]  # the command makes it by this name
        with end_in_the_log("The worker"):
            super().handle(**options)


class EnduringWorker(db_worker.Worker):
    """Waits when the database is unavailable. SIGUSR1 drains it: it ends after its current task."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._is_draining = False

    def configure_signals(self) -> None:
        super().configure_signals()
        signal.signal(signal.SIGUSR1, self.drain)

    def drain(self, _number: int, _frame: FrameType | None) -> None:
        logger.warning("Draining: the worker finishes its task and ends")
        self._is_draining, self.running = True, False

    def shutdown(self, number: int, frame: FrameType | None) -> None:
        if self._is_draining:  # SIGTERM ends the run here, too
            self._is_draining, self.running = False, True
        super().shutdown(number, frame)

    def run(self) -> None:
        while True:
            try:
                return super().run()
            except Error as error:
                if not is_away(error):
                    raise
                outages.database.note_failure(error)
                self._wait_for_the_database()
                if not self.running:
                    return None

    def run_task(self, db_task_result: DBTaskResult[Any, Any]) -> None:
        super().run_task(db_task_result)
        outages.database.note_success()

    def _wait_for_the_database(self) -> None:
        """Wait until the database answers or the worker is drained. SIGTERM ends the process here."""
        self.startup_delay = False
        wait = 0.25
        while self.running:
            connections.close_all()
            time.sleep(wait)
            wait = min(MAX_WAIT_SECONDS, 2 * wait)
            try:
                connection.ensure_connection()
            except Error:
                continue
            return
