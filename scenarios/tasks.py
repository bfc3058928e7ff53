"""What workers execute."""

from django.utils import timezone
from django_tasks import task

from scenarios import execution
from scenarios.models import Heartbeat

HIGHEST_PRIORITY = 100


@task()
def carry_out_run(run_id: str, attempt: int) -> str:
    """Carry the run out, if this message is not stale. The return value is for the queue's own list."""
    run = execution.carry_out(run_id, attempt)
    return run.verdict if run is not None else "nothing to claim"


@task()
def beat() -> None:
    """Show that the queue delivers and that a worker works: `ready` and the alerts look at it."""
    beat_of("worker", execution.this_process())


def ask_for_beat() -> None:
    """Ahead of the waiting runs, where the queue knows priorities: RQ does not."""
    first = beat.using(priority=HIGHEST_PRIORITY) if beat.get_backend().supports_priority else beat
    first.enqueue()


def beat_of(name: str, detail: str) -> None:
    Heartbeat.objects.update_or_create(name=name, defaults={"seen_at": timezone.now(), "detail": detail})
