"""A project whose tasks and commands are carried out by processes of manage.py, of which some are killed."""

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers.falls import watched
from benchmarks.servers.processes import counted, started, staying_in
from tests.servers.loopback import wait_for

MANAGE = """
import os, sys
from pathlib import Path
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    INSTALLED_APPS=["metrics_app", "django_tasks", "django_tasks_db", "counted"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(__file__).with_name("db.sqlite3"),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 300,
                "init_command": "PRAGMA journal_mode=WAL;",
            },
        }
    },
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    METRICS={"DIRECTORY": os.environ["METRICS"], "TASKS": True, "COMMANDS": True},
    USE_TZ=True,
)
execute_from_command_line(sys.argv)
"""
WORK = """
import os, time
from django_tasks import task
from metrics_app import metrics

done = metrics.counter("work_done_total", "Work done.", labels=("by",))


def do(by):
    descriptor = os.open(os.environ["LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{by}\\n".encode())  # first: what is counted was done
    os.close(descriptor)
    done.labels(by).inc()


@task()
def work():
    time.sleep(0.005)
    do("task")
"""
PUT = """
from django.core.management import BaseCommand, call_command
from counted.work import work

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("number", type=int)

    def handle(self, *, number, **options):
        call_command("migrate", verbosity=0)
        for _ in range(number):
            work.enqueue()
"""
PLACE = """
import time
from django.core.management import BaseCommand
from counted.work import do

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("number", type=int)

    def handle(self, *, number, **options):
        for _ in range(number):
            do("command")
            time.sleep(0.02)
"""
FILES = {
    "manage.py": MANAGE,
    "counted/__init__.py": "",
    "counted/work.py": WORK,
    "counted/management/__init__.py": "",
    "counted/management/commands/__init__.py": "",
    "counted/management/commands/put_tasks.py": PUT,
    "counted/management/commands/place_orders.py": PLACE,
}
WORKER = ("db_worker", "--interval=0.05", "--no-startup-delay", "--no-reload", "--verbosity=0")
WAITING = "SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE status = 'READY'"
ORDERS_EACH = 20
COMMANDS_AT_ONCE = 3


@dataclass(frozen=True)
class Done:
    """What the processes did, of which so many were killed, and what was counted of it."""

    done: int
    killed: int
    counted: int
    started: int
    finished: int


@dataclass(frozen=True)
class Outcome:
    tasks: Done
    commands: Done
    succeeded: int
    """Commands that ended with the exit code 0."""
    scrapes: int
    falls: int


class Project:
    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self._python = python
        self._lines = folder / "lines"
        self._lines.touch()
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    @contextmanager
    def started(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        command = [self._python, "manage.py", *arguments]
        with started(command, self.folder, LINES=str(self._lines)) as process:
            yield process

    def run(self, *arguments: str) -> None:
        with self.started(*arguments) as process:
            status = process.wait(600)
        assert not status, f"{arguments}: {(self.folder / 'log').read_text()}"

    def lines(self, by: str) -> int:
        return self._lines.read_text().splitlines().count(by)

    def is_queue_empty(self) -> bool:
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=300)) as database:
            return bool(database.execute(WAITING).fetchone() == (0,))

    def counted(self, name: str, **labels: str) -> int:
        return int(counted(self.folder, name, **labels))


def carry_out(
    folder: Path, *, tasks: int, commands: int, kills: int, python: str = sys.executable
) -> Outcome:
    """Carry out so many tasks and commands, while so many of the processes of each are killed by signal 9."""
    project = Project(folder, python)
    with staying_in(folder) as adapter, watched(adapter.get_http_handler()) as falls:
        _carry_out_tasks(project, tasks, kills)
        succeeded = _run_commands(project, commands, kills)
        return Outcome(
            Done(
                done=project.lines("task"),
                killed=kills,
                counted=project.counted("work_done_total", by="task"),
                started=project.counted("tasks_started_total"),
                finished=project.counted("tasks_finished_total", outcome="succeeded"),
            ),
            Done(
                done=project.lines("command"),
                killed=commands - succeeded,
                counted=project.counted("work_done_total", by="command"),
                started=commands,
                finished=project.counted("management_commands_finished_total", command="place_orders"),
            ),
            succeeded,
            falls.scrapes,
            falls.found,
        )


def _carry_out_tasks(project: Project, tasks: int, kills: int) -> None:
    """Two workers; each that is killed is replaced, and then one that is asked to end."""
    project.run("put_tasks", str(tasks))
    with ExitStack() as stack:
        workers = [stack.enter_context(project.started(*WORKER)) for _ in range(2)]
        for number in range(kills + 1):
            due = tasks * (number + 1) // (kills + 2)
            wait_for(lambda due=due: project.lines("task") >= due, what=f"{due} tasks", seconds=600)  # type: ignore[misc]
            workers[0].send_signal(signal.SIGKILL if number < kills else signal.SIGTERM)
            workers[0].wait(600)
            workers = [workers[1], stack.enter_context(project.started(*WORKER))]
        wait_for(project.is_queue_empty, what="no task waits", seconds=600)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)  # ends when its task has
            worker.wait(600)


def _run_commands(project: Project, commands: int, kills: int) -> int:
    """How many succeed."""
    statuses: list[int] = []
    for first in range(0, commands, COMMANDS_AT_ONCE):
        numbers = range(first, min(first + COMMANDS_AT_ONCE, commands))
        before = project.lines("command")
        with ExitStack() as stack:
            processes = [
                stack.enter_context(project.started("place_orders", str(ORDERS_EACH))) for _ in numbers
            ]
            if first // COMMANDS_AT_ONCE < kills:
                due = before + random.randint(1, ORDERS_EACH // 2)
                wait_for(lambda due=due: project.lines("command") >= due, what="orders", seconds=600)  # type: ignore[misc]
                processes[0].kill()
            statuses += [process.wait(600) for process in processes]
    assert set(statuses) <= {0, -signal.SIGKILL}, (project.folder / "log").read_text()
    return statuses.count(0)
