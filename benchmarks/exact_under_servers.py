"""Counts what a client was answered against what /metrics says, under each server that is installed.

    python -m benchmarks.exact_under_servers [--requests 5000] [--tasks 300] [--python PATH] [ONLY …]

While requests are sent, workers are killed with signal 9, and all are replaced by HUP where the server does
that. Hypercorn ends with the first worker that is killed: it is started again, as systemd would. What was
in flight at a kill may be counted or not; everything else must be counted once. Tasks of Celery are
compared with the lines that they write, while processes of its pool are killed.

It installs nothing. What is missing is left out with a sentence; `--python` names the interpreter of an
environment that has `granian`, `hypercorn`, `gevent`, `uvicorn-worker` or `uwsgi` beside this project's
packages.
It ends with status 1 where a figure is out of its bounds.
"""

import argparse
import http.client
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.goals import Goals
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, slots
from metrics_app.ports import MetricsOptions
from tests.exposition import value
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.redis_server import redis_server

PROJECT = Path(__file__).resolve().parents[1]
CLIENTS = 8
KILLS = 4
SITE = """
import os
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def home(request):
    return HttpResponse(b"ok" * 2000)

urlpatterns = [path("", home, name="home")]
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["metrics_app"],
    MIDDLEWARE=["metrics_app.middleware.RequestMetricsMiddleware"],
    METRICS={"DIRECTORY": os.environ["METRICS"], "TASKS": True},
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
django.setup()
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
application, asgi = get_wsgi_application(), get_asgi_application()
"""
JOBS = """
import os, time
import counted_site
from celery import Celery

app = Celery("counted_jobs", broker=os.environ["REDIS_URL"])

@app.task(name="work")
def work(number):
    time.sleep(0.005)
    descriptor = os.open(os.environ["LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\\n" % number)
    os.close(descriptor)
"""
GUNICORN = ("gunicorn", "--no-control-socket", "--workers=2", "--max-requests=400", "--log-level=critical")


class Server(NamedTuple):
    name: str
    needs: tuple[str, ...]
    """Modules."""
    command: tuple[str, ...]
    """Arguments of `python -m`; the port is put in for PORT."""
    reloads: bool = False
    ends_with_a_worker: bool = False
    """Whether it ends when one of its workers is killed."""


SERVERS = (
    *(
        Server(
            f"gunicorn, {kind}",
            ("gunicorn", *needs),
            (*GUNICORN, f"--worker-class={worker}", *options, "--bind=127.0.0.1:PORT", f"counted_site:{app}"),
            reloads=True,
        )
        for kind, needs, worker, options, app in (
            ("sync", (), "sync", (), "application"),
            ("gthread", (), "gthread", ("--threads=4",), "application"),
            ("gevent", ("gevent",), "gevent", (), "application"),
            ("ASGI worker", ("uvicorn_worker",), "uvicorn_worker.UvicornWorker", (), "asgi"),
        )
    ),
    Server(
        "uvicorn",
        ("uvicorn",),
        ("uvicorn", "--workers=2", "--port=PORT", "--log-level=critical", "counted_site:asgi"),
    ),
    *(
        Server(
            f"granian, {interface}",
            ("granian",),
            (
                *("granian", f"--interface={interface}", "--workers=2", "--port=PORT", "--no-log"),
                *("--respawn-failed-workers", "--respawn-interval=0.1", f"counted_site:{app}"),
            ),
        )
        for interface, app in (("wsgi", "application"), ("asginl", "asgi"))
    ),
    Server(
        "hypercorn",
        ("hypercorn",),
        (
            *("hypercorn", "--workers=2", "--max-requests=400", "--bind=127.0.0.1:PORT"),
            *("--log-level=critical", "counted_site:asgi"),
        ),
        reloads=True,
        ends_with_a_worker=True,
    ),
    Server(
        "uWSGI",
        ("uwsgi",),
        (
            *("uwsgi", "--master", "--processes=2", "--need-app", "--disable-logging", "--die-on-term"),
            *("--enable-threads", "--max-requests=400", "--http-socket=127.0.0.1:PORT"),
            "--module=counted_site",
        ),
        reloads=True,
    ),
)


class Load:
    """Sends requests from several clients at once, and counts the answers that arrived whole."""

    def __init__(self, port: int, requests: int) -> None:
        self.answered = self.failed = 0
        self._port = port
        self._left = requests
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for(self, number: int) -> None:
        wait_for(lambda: self.answered + self.failed >= number, what=f"{number} requests", seconds=600)

    def end(self) -> None:
        for thread in self._threads:
            thread.join(600)

    def _ask(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                self._left -= 1
            is_answered = self._is_answered()
            with self._lock:
                self.answered += is_answered
                self.failed += not is_answered
            if not is_answered:
                time.sleep(0.05)  # until the server has another worker

    def _is_answered(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            self._connect(connection)
            connection.request("GET", "/", headers={"Connection": "close"})
            response = connection.getresponse()
            return len(response.read()) == len(b"ok") * 2000 and response.status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @staticmethod
    def _connect(connection: http.client.HTTPConnection) -> None:
        """Wait for a server that is being started again: nobody has asked it for anything then."""
        deadline = time.monotonic() + 120
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


def is_installed(python: str, modules: Sequence[str]) -> bool:
    # uWSGI's module is there within its server alone.
    code = "import sys, importlib.util as u, shutil; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    if tuple(modules) == ("uwsgi",):
        return Path(python).with_name("uwsgi").exists()
    return subprocess.run([python, "-c", code, *modules], check=False).returncode == 0


@contextmanager
def started(command: Sequence[str], folder: Path, **own: str) -> Iterator["subprocess.Popen[bytes]"]:
    path = f"{folder}{os.pathsep}{PROJECT}"
    environment = {"PATH": os.environ["PATH"], "METRICS": str(folder / "metrics"), "PYTHONPATH": path, **own}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its own session: whatever it left
            process.wait(60)


def start(stack: ExitStack, command: Sequence[str], folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """A server that listens; the stack ends it."""
    process = stack.enter_context(started(command, folder))
    wait_for(lambda: is_listening(port), what=f"{command[2]} listens")
    return process


@contextmanager
def staying_in(folder: Path) -> Iterator[None]:
    """Keep the metrics directory in use, as another process of the same service does."""
    adapter = PrometheusMetricsAdapter.configured(MetricsOptions(directory=folder / "metrics"))
    try:
        yield
    finally:
        adapter.close()


def kill_a_worker(folder: Path, master: int) -> bool:
    """Kill one of the processes that have a slot, if there is one beside the master."""
    workers = [pid for pid in slots.holders(folder / "metrics").values() if pid and pid != master]
    if not workers:
        return False
    try:
        os.kill(random.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def counted(folder: Path, name: str, **labels: str) -> float:
    """What the server counts, while it runs: who comes to a folder in which nobody is begins at zero."""
    adapter = PrometheusMetricsAdapter.configured(MetricsOptions(directory=folder / "metrics"))
    try:
        return value(adapter.get_http_handler()(), name, **labels)
    finally:
        adapter.close()


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
        with ExitStack() as stack, staying_in(folder):
            process = start(stack, command, folder, port)
            load = Load(port, requests)
            load.start()
            for number in range(KILLS):
                load.wait_for(requests * (number + 1) // (KILLS + 2))
                wait_for(lambda: kill_a_worker(folder, process.pid), what=f"{server.name} has a worker")  # noqa: B023 - called at once
                if server.ends_with_a_worker:
                    process.wait(120)
                    process = start(stack, command, folder, port)
            if server.reloads:
                load.wait_for(requests * (KILLS + 1) // (KILLS + 2))
                process.send_signal(signal.SIGHUP)
            load.end()
            found = counted(folder, "http_requests_total", route="home", code="200")
    # Each of the clients may have had a request in a killed worker, or in its queue.
    goals.tell(f"{server.name}: answered", load.answered)
    goals.at_most(f"{server.name}: answered and not counted", max(0, load.answered - int(found)), 0)
    goals.at_most(f"{server.name}: counted beyond what was asked", max(0, int(found) - requests), 0)
    unanswered = max(0, int(found) - load.answered)
    goals.at_most(f"{server.name}: counted, not answered; failed", unanswered, load.failed)


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
        with started([python, *worker], folder, **own) as process:
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
    parser.add_argument("only", nargs="*", help="what the names of servers begin with")
    chosen = parser.parse_args()
    goals = Goals()
    for server in SERVERS:
        if chosen.only and not server.name.lower().startswith(tuple(map(str.lower, chosen.only))):
            continue
        if is_installed(chosen.python, server.needs):
            check_server(goals, server, chosen.python, chosen.requests)
        else:
            print(
                f"{server.name}: left out, because {' or '.join(server.needs)} is not installed", flush=True
            )
    if not chosen.only or "celery" in map(str.lower, chosen.only):
        check_celery(goals, chosen.python, chosen.tasks)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
