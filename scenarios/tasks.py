"""What workers execute."""

import logging
import os

from django.conf import settings
from django.db import Error
from django_tasks import task

from scenarios.database.connections import reconnecting
from scenarios.database.errors import is_away
from scenarios.domain import outages
from scenarios.domain.worker_commands import WORKER_COMMANDS
from scenarios.runs import executor
from scenarios.runs.component_heartbeats import note_trouble, record_heartbeat
from scenarios.runs.late_faults import late_faults

logger = logging.getLogger(__name__)

TOP_TASK_PRIORITY = 100
WRONG_WORKER = (
    "a worker of RQ carries runs out in a child process, where they would not hear that they are to end: it "
    f"begins none. Start 'manage.py {WORKER_COMMANDS['rq']}' instead"
)


@task()
def carry_out_run(_run_id: str, _attempt: int) -> str:
    """Carry out the first run in line. The return value is for the queue's own list.

    The message names the run that was enqueued. A run that is before it in line begins first: its
    own message then finds the other.
    """
    if is_in_child_process():
        logger.error("%s", WRONG_WORKER)
        return WRONG_WORKER
    try:
        run = reconnecting(executor.carry_out_next)()
        late_faults.watch()
    except Error as error:
        if not is_away(error):
            raise
        outages.database.note_failure(error)
        return "the database is away"
    outages.database.note_success()
    return run.verdict if run is not None else "nothing to claim"


@task()
def beat() -> None:
    """Show that the queue delivers and that a worker works: `ready` and the alerts look at it."""
    if is_in_child_process():
        reconnecting(note_trouble)("worker", WRONG_WORKER)
        return
    try:
        reconnecting(record_heartbeat)("worker", executor.this_process())
    except Error as error:
        if not is_away(error):
            raise
        outages.database.note_failure(error)


def is_in_child_process() -> bool:
    """Whether a worker of RQ has started a process for this task: it has that in the environment."""
    return settings.TASK_BACKEND == "rq" and "RQ_WORKER_ID" in os.environ


def ask_for_beat() -> None:
    """Ahead of the waiting runs, where the queue knows priorities: RQ does not."""
    first = beat.using(priority=TOP_TASK_PRIORITY) if beat.get_backend().supports_priority else beat
    first.enqueue()
