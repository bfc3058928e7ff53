"""The coordinator's processes, started as by hand or by a service file."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg

from scenarios.domain.worker_commands import quick_worker
from tests.servers.command_process import command_process
from tests.servers.filled_database import SQLITE_FILE, fill_database
from tests.servers.loopback import free_port, is_listening, wait_for

PROJECT = Path(__file__).resolve().parents[2]
LOCAL_PORTS = (
    "DEMO_EXCHANGE_PORT",
    "DEMO_RISK_MONITOR_PORT",
    "DEMO_PRICE_FEED_PORT",
    "DEMO_PROXY_PORT",
    "DEMO_PROXY_CONTROL_PORT",
    "LOCAL_PROMETHEUS_PORT",
)


class Coordinator:
    """One installation with its own data folder and an environment with nothing else."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(data),
            "PORT": str(self.port),
            "LEASE_SECONDS": "3",
            "TASK_BACKEND": "db",
            "PYTHONUNBUFFERED": "1",
            # Two that start at once would both find the documented ports free.
            **{name: str(free_port()) for name in LOCAL_PORTS},
            **environment,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        return list(self._processes.values())

    def manage(self, *arguments: str) -> str:
        """Run the command, which must exit with 0, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def migrate(self) -> None:
        self._fill("tables", lambda: self.manage("migrate", "--verbosity=0"))

    def set_up(self, **services: str) -> None:
        """Database, catalogue, and these services by their addresses."""
        if services:
            self._fill(f"catalogue, {sorted(services)}", lambda: self._add(services))
        else:
            self._fill("catalogue", self._import_catalogue)
        for name, url in services.items():
            self.rows("UPDATE scenarios_service SET base_url = ? WHERE name = ?", url, name)

    def _fill(self, content: str, write: Callable[[], object]) -> None:
        fill_database(self.data, self.environment, content, write)

    def _add(self, services: dict[str, str]) -> None:
        self._fill("catalogue", self._import_catalogue)
        with command_process(self.environment) as commands:
            for name, url in services.items():
                commands.manage("scenario", "service", "add", name, "--url", url)

    def _import_catalogue(self) -> None:
        with command_process(self.environment) as commands:
            commands.manage("migrate", "--verbosity=0")
            # These come first, because tests know their numbers.
            known = ("exchange-errors", "exchange-latency", "exchange-outage", "slow-day")
            commands.manage("scenario", "import", *(f"scenarios/catalogue/{name}.yaml" for name in known))
            commands.manage("scenario", "import", "scenarios/catalogue")

    def start(
        self, name: str, *command: str, inside: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        """`inside`: the words before the command that take it to another machine."""
        own = {**self.environment, **environment}
        with self.find_log(name).open("ab") as log:
            process = subprocess.Popen(
                [*inside, sys.executable, *command], cwd=PROJECT, env=own, stdout=log, stderr=log
            )
        self._processes[name] = process
        return process

    def find_process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def start_worker(self, name: str = "worker", **environment: str) -> subprocess.Popen[bytes]:
        return self.start(name, "manage.py", *quick_worker(self.environment["TASK_BACKEND"]), **environment)

    def start_demo_service(self, name: str, port: int, *options: str) -> subprocess.Popen[bytes]:
        """Start a demo service with its own metrics and name."""
        own = {"SERVICE_NAME": name, "PROMETHEUS_MULTIPROC_DIR": str(self.data / f"metrics-{name}")}
        return self.start(name, "manage.py", "demo_service", name, "--port", str(port), *options, **own)

    def start_watchdog(self, **environment: str) -> subprocess.Popen[bytes]:
        return self.start("watchdog", "manage.py", "watchdog", **environment)

    def start_web(self) -> subprocess.Popen[bytes]:
        process = self.start("web", "-m", "gunicorn")
        wait_for(lambda: is_listening(self.port), what="gunicorn listens")
        return process

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """What the query finds in the installation's database, without a new Django process.

        Its placeholders are question marks. A change is committed, and returns no rows.
        """
        if url := self.environment.get("DATABASE_URL"):
            with psycopg.connect(url) as connection:
                cursor = connection.execute(query.replace("?", "%s").encode(), values)
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(self.data / SQLITE_FILE, timeout=300)) as database, database:
            return database.execute(query, values).fetchall()

    def wait_for_faults(self, count: int = 1) -> None:
        """Wait until the ledger says that the responses to so many injections have come.

        A target, a file or a process shows its fault earlier. A run that is stopped or killed in between
        leaves the fault unverified for a while, because its injection may still arrive.
        """
        query = "SELECT count(*) FROM scenarios_fault WHERE state = 'active'"
        wait_for(lambda: self.rows(query) == [(count,)], what=f"{count} faults in the ledger are active")

    def find_log(self, name: str) -> Path:
        return self.data / f"{name}.log"

    def print_logs(self) -> None:
        """The last lines of each process: pytest shows them when the test has failed."""
        # Some tests remove or move the folder.
        for name in [name for name in self._processes if self.find_log(name).exists()]:
            last = self.find_log(name).read_text(errors="replace").splitlines()[-30:]
            sys.stdout.write("\n".join([f"-- {name}", *last, ""]))

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(300)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def coordinator(data: Path, **environment: str) -> Iterator[Coordinator]:
    installed = Coordinator(data, **environment)
    try:
        yield installed
    finally:
        installed.stop()
        installed.print_logs()


@contextmanager
def command(data: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose output can be read while it runs; it is ended after the block."""
    with subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env={**Coordinator(data).environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(300)


def read_until(output: IO[str] | None, words: str) -> str:
    """Read up to the line with these words, and return the text."""
    assert output is not None
    read = ""
    for line in output:
        read += line
        if words in line:
            return read
    raise AssertionError(f"{words!r} never came:\n{read}")


def processes_with(data: Path) -> dict[int, str]:
    """The commands of the living processes whose DATA_DIR this is, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command_line = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if f"DATA_DIR={data}".encode() in environment.split(b"\0") and command_line:
            found[int(folder.name)] = command_line
    return found


def find_holder(data: Path, word: str) -> int:
    return next(pid for pid, command_line in processes_with(data).items() if word in command_line)
