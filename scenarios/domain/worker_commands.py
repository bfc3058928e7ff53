"""What carries runs out, by TASK_BACKEND: the queue's own worker, as `manage.py` starts it."""

WORKER_COMMANDS = {"db": "db_worker", "rq": "rqworker"}
# The interval is the longest that a queued run waits for an idle worker.
QUICK = {"db": "--interval 0.1 --no-startup-delay --no-reload", "rq": ""}


def quick_worker(task_backend: str) -> list[str]:
    """The words of the command for a worker that begins runs at once."""
    return f"{WORKER_COMMANDS[task_backend]} {QUICK[task_backend]}".split()
