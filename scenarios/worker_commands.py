"""What carries runs out, by TASK_BACKEND: the queue's own worker, as `manage.py` starts it."""

# RQ's simple worker, for a run looks after SIGTERM itself: the usual one would hide it from the run, in a
# child process that goes on.
WORKER_COMMANDS = {
    "db": "db_worker",
    "rq": "rqworker --worker-class rq.SimpleWorker --job-class django_tasks_rq.Job",
}
# The interval is the longest that a queued run waits for an idle worker.
QUICK = {"db": "--interval 0.1 --no-startup-delay --no-reload", "rq": ""}


def quick_worker(task_backend: str) -> list[str]:
    """The words of the command for a worker that begins runs at once."""
    return f"{WORKER_COMMANDS[task_backend]} {QUICK[task_backend]}".split()
