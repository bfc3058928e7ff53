"""Compares the responses that a client got with the counts on /metrics, under each installed server.

    python -m benchmarks.exact_under_servers [--requests 5000] [--tasks 300] [--python PATH] [--output FILE]
        [ONLY …]

While requests are sent, workers are killed with signal 9, and all are replaced by HUP if the server supports
that. A server that exits when a worker is killed, like hypercorn, is restarted, as systemd would do. Requests
in flight at a kill may be counted or not; all others must be counted once. Tasks of Celery are compared with
the lines that they write, while processes of its pool are killed; so are those of django-tasks, whose
`manage.py db_worker` processes are killed and replaced, and the work of short management commands.

It installs nothing, and says which servers are missing; `--python` names the interpreter of an environment
that has `granian`, `hypercorn`, `gevent`, `uvicorn-worker` or `uwsgi` in addition to this project's packages.
Exits with 1 if a figure is out of its bounds.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.goals import Goals
from benchmarks.peers import report
from benchmarks.servers.clients import Load
from benchmarks.servers.commands import JOBS, SERVERS, SITE, Server, is_installed
from benchmarks.servers.falls import watched
from benchmarks.servers.manage import carry_out
from benchmarks.servers.processes import Served, counted, kill_a_worker, start, started, staying_in
from tests.servers.loopback import free_port, wait_for
from tests.servers.redis_server import redis_server

KILLS = 4
PACKAGES = (
    *("django", "gunicorn", "gevent", "uvicorn", "uvicorn-worker", "granian", "hypercorn", "uwsgi"),
    *("celery", "django-tasks", "django-tasks-db", "prometheus-client"),
)
VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version

def names():
    for package in sys.argv[1:]:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            pass

print(json.dumps(list(names())))
"""


def check_server(goals: Goals, server: Server, python: str, requests: int) -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "counted_site.py").write_text(SITE)
        arguments = [argument.replace("PORT", str(port)) for argument in server.command]
        command = [python, "-m", *arguments]
        if arguments[0] == "uwsgi":
            command = [str(Path(python).with_name("uwsgi")), f"--virtualenv={sys.prefix}", *arguments[1:]]
        # Somebody stays in the folder while a server is started again: else that would begin at zero.
        with (
            ExitStack() as stack,
            staying_in(folder) as adapter,
            watched(adapter.get_http_handler()) as falls,
        ):
            served = Served(lambda: start(stack, command, folder, port))
            load = Load(port, requests)
            load.start()
            for number in range(KILLS):
                due = requests * (number + 1) // (KILLS + 2)
                served.wait_until(lambda due=due: load.done >= due, f"{due} requests")  # type: ignore[misc]
                served.wait_until(lambda: kill_a_worker(folder, served.process.pid), "a worker")
            if server.reloads:
                due = requests * (KILLS + 1) // (KILLS + 2)
                served.wait_until(lambda: load.done >= due, f"{due} requests")
                served.process.send_signal(signal.SIGHUP)
            served.wait_until(lambda: load.done >= requests, "all requests")
            load.end()
            found = counted(folder, "http_requests_total", route="home", code="200")
    # Each of the clients may have had a request in a killed worker, or in its queue.
    goals.tell(f"{server.name}: answered", load.answered)
    goals.at_most(f"{server.name}: answered and not counted", max(0, load.answered - int(found)), 0)
    goals.at_most(f"{server.name}: counted beyond what was asked", max(0, int(found) - requests), 0)
    unanswered = max(0, int(found) - load.answered)
    goals.at_most(f"{server.name}: counted, not answered; failed", unanswered, load.failed)
    goals.at_most(f"{server.name}: falls of a counter in {falls.scrapes} scrapes", falls.found, 0)


def check_celery(goals: Goals, python: str, tasks: int) -> None:
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as redis:
        folder = Path(name)
        (folder / "counted_site.py").write_text(SITE)
        (folder / "counted_jobs.py").write_text(JOBS)
        lines = folder / "lines"
        lines.touch()
        own = {"REDIS_URL": redis.url, "LINES": str(lines), "DJANGO_SETTINGS_MODULE": ""}
        send = f"import counted_jobs; [counted_jobs.work.delay(number) for number in range({tasks})]"
        with started([python, "-c", send], folder, **own) as process:
            process.wait(300)
        worker = ["-m", "celery", "-A", "counted_jobs", "worker", "--concurrency=2", "--loglevel=CRITICAL"]
        with (
            staying_in(folder) as adapter,
            watched(adapter.get_http_handler()) as falls,
            started([python, *worker], folder, **own) as process,
        ):
            kills = 0
            for number in range(KILLS):
                due = tasks * (number + 1) // (KILLS + 2)
                wait_for(lambda due=due: _count(lines) >= due, what=f"{due} tasks", seconds=300)  # type: ignore[misc]
                kills += kill_a_worker(folder, process.pid)
            # A killed process takes its task along, and one that it had reserved.
            wait_for(lambda: _has_settled(lines, tasks - 2 * KILLS), what="all tasks", seconds=300)
            done = _count(lines)
            started_tasks = int(counted(folder, "tasks_started_total"))
            finished = int(counted(folder, "tasks_finished_total", outcome="succeeded"))
    goals.tell("Celery, prefork: tasks done", done)
    goals.at_most("Celery: done and not counted as finished, of those in flight", done - finished, kills)
    goals.at_most("Celery: counted as finished and not done", max(0, finished - done), 0)
    goals.at_most("Celery: done and not counted as started", max(0, done - started_tasks), 0)
    goals.at_most("Celery: started and not done, of those in flight", started_tasks - done, kills)
    goals.at_most(f"Celery: falls of a counter in {falls.scrapes} scrapes", falls.found, 0)


def check_manage(goals: Goals, python: str, tasks: int) -> None:
    commands = max(12, tasks // 10)
    with tempfile.TemporaryDirectory() as name:
        found = carry_out(Path(name), tasks=tasks, commands=commands, kills=KILLS, python=python)
    for what, done in (("django-tasks, db_worker", found.tasks), ("management commands", found.commands)):
        goals.tell(f"{what}: done", done.done)
        goals.at_most(f"{what}: done and not counted; killed", done.done - done.counted, done.killed)
        goals.at_most(f"{what}: counted and not done", max(0, done.counted - done.done), 0)
    goals.at_most(
        "django-tasks: done, not counted as started", max(0, found.tasks.done - found.tasks.started), 0
    )
    lost = found.tasks.started - found.tasks.finished
    goals.at_most("django-tasks: started and not finished; killed", lost, found.tasks.killed)
    goals.tell("management commands: ended with 0", found.succeeded)
    goals.at_most(
        "management commands: that ended and are not counted",
        max(0, found.succeeded - found.commands.finished),
        0,
    )
    goals.at_most(
        "management commands: counted as ended; started", found.commands.finished, found.commands.started
    )
    goals.at_most(f"both: falls of a counter in {found.scrapes} scrapes", found.falls, 0)


def _count(lines: Path) -> int:
    return lines.read_bytes().count(b"\n")


def _has_settled(lines: Path, at_least: int) -> bool:
    before = _count(lines)
    time.sleep(3)
    return at_least <= before == _count(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--output", type=Path)
    parser.add_argument("only", nargs="*", help="what the names of servers begin with")
    chosen = parser.parse_args()
    goals, left_out = Goals(), []
    checks: list[tuple[str, Sequence[str], Callable[[], None]]] = [
        ("Celery", (), lambda: check_celery(goals, chosen.python, chosen.tasks)),
        ("manage.py", (), lambda: check_manage(goals, chosen.python, chosen.tasks)),
        *(
            (server.name, server.needs, partial(check_server, goals, server, chosen.python, chosen.requests))
            for server in SERVERS
        ),
    ]
    for name, needs, check in checks:
        if chosen.only and not name.lower().startswith(tuple(map(str.lower, chosen.only))):
            continue
        if is_installed(chosen.python, needs):
            check()
        else:
            left_out.append(f"{name} is left out, because {' or '.join(needs)} is not installed.")
            print(left_out[-1], flush=True)
        if chosen.output:  # at once, so that nothing is lost of what was measured
            chosen.output.write_text(results(goals, left_out, chosen))
    return goals.status


def results(goals: Goals, left_out: Sequence[str], chosen: argparse.Namespace) -> str:
    """What was measured, as Markdown."""
    options = [f"--requests {chosen.requests}", f"--tasks {chosen.tasks}", *chosen.only]
    command = f"python -m benchmarks.exact_under_servers {' '.join(options)}"
    names = json.loads(subprocess.check_output([chosen.python, "-c", VERSIONS, *PACKAGES], text=True))
    machine = f"{report.describe_machine()}; {', '.join(names)}; {report.describe_load()}"
    parts = [
        "# Exact under servers",
        f"`{command}`, on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC; {machine}.",
        *left_out,
        report.table(["what", "measured", "goal", ""], goals.rows),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
