"""What workers execute."""

from django_tasks import task

from scenarios import execution
from scenarios.connections import fresh
from scenarios.heartbeats import beat_of

HIGHEST_PRIORITY = 100


@task()
def carry_out_run(_run_id: str, _attempt: int) -> str:
    """Carry out the first run in line. The return value is for the queue's own list.

    The message says which run made it worth knocking. Whoever is before that one in line begins first: its
    own message then finds the other.
    """
    run = fresh(execution.carry_out_next)()
    return run.verdict if run is not None else "nothing to claim"


@task()
def beat() -> None:
    """Show that the queue delivers and that a worker works: `ready` and the alerts look at it."""
    fresh(beat_of)("worker", execution.this_process())


def ask_for_beat() -> None:
    """Ahead of the waiting runs, where the queue knows priorities: RQ does not."""
    first = beat.using(priority=HIGHEST_PRIORITY) if beat.get_backend().supports_priority else beat
    first.enqueue()
