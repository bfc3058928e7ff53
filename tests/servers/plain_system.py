"""An installation, and a shop that knows nothing of chaos, with fault proxies before what it depends on."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from scenarios.domain.worker_commands import quick_worker
from tests.servers import small_disk
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import free_port, is_listening, wait_for

TOKEN = "open-sesame"
ENVIRONMENT = {
    "SCENARIO_SECRET_FAULT_PROXY_TOKEN": TOKEN,
    "SCENARIO_SECRET_POSTGRESQL_PASSWORD": "is-not-asked-for",
    "ALLOWED_HOST_FAULTS": "pause,kill,cpu,disk",
    "MAX_CONCURRENT_RUNS": "8",
    "LEASE_SECONDS": "10",
}
# What breaks, at once and for a moment; the limits are for machines that are busy.
QUICK = {"hold": "300ms", "steady": "100ms", "limit": "60s", "usual": "60s", "within": "2m", "recovery": "2m"}
START = """
import json
from scenarios.library.hosts import register_host
from scenarios.library.services import register_service
from scenarios.models import Scenario
from scenarios.runs.commands import start_run
register_host("this-host")
for service in json.loads({services!r}):
    register_service(**service)
for name, variables in json.loads({runs!r}).items():
    scenario = Scenario.objects.get(name=name)
    start_run(scenario.document, variables, origin="cli", scenario=scenario)
"""
# Services for those who sell, of whom PostgreSQL reserves no connections.
ORDERS = """CREATE TABLE orders (id int); CREATE ROLE shop LOGIN; GRANT SELECT ON orders TO shop"""


class PlainSystem:
    """`addresses` are those of the dependencies by kind: http, postgres, redis and file."""

    def __init__(
        self, installed: Coordinator, commands: CommandProcess, addresses: Mapping[str, str]
    ) -> None:
        self.installed = installed
        self.commands = commands
        self.addresses = addresses
        self.port = free_port()
        self.control = free_port()
        self.listeners: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_proxy(self, kinds: Mapping[str, str]) -> None:
        """One listener for each name, in front of the dependency of its kind."""
        self.listeners = {name: free_port() for name in kinds}
        words = ["--control", f"127.0.0.1:{self.control}"]
        for name, port in self.listeners.items():
            upstream = urlsplit(self.addresses[kinds[name]]).netloc.rpartition("@")[2]
            words += ["--listen", f"127.0.0.1:{port}", "--upstream", upstream]
        self.installed.start("proxy", "-m", "injector", *words, FAULT_PROXY_TOKEN=TOKEN)
        wait_for(lambda: is_listening(self.control), what="the fault proxy listens")

    def find_behind_proxy(self, name: str, kind: str) -> str:
        """The address of this dependency for clients."""
        parts = urlsplit(self.addresses[kind])
        user = "shop@" if kind == "postgres" else ""
        return parts._replace(netloc=f"{user}127.0.0.1:{self.listeners[name]}").geturl()

    def start_shop(self, dependencies: Mapping[str, str], inside: list[str]) -> None:
        file = self.installed.data / "shop.json"
        file.write_text(json.dumps(dependencies))
        words = ("-m", "tests.servers.plain_shop", str(self.port), str(file))
        self.installed.start("shop", *words, inside=inside)
        wait_for(lambda: is_listening(self.port), what="the shop listens")

    def start_worker(self, name: str, inside: list[str]) -> None:
        self.installed.start(name, "manage.py", *quick_worker("db"), inside=inside)

    def ask(self, path: str, port: int | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=120)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def start_runs(self, services: list[dict[str, str]], runs: Mapping[str, dict[str, str]]) -> None:
        code = START.format(services=json.dumps(services), runs=json.dumps(runs))
        self.commands.manage("shell", "--no-imports", "-c", code)

    def read_verdicts(self) -> dict[str, tuple[str, str, str]]:
        """Outcome, rollback and reason of each run by the name of its scenario."""
        query = "SELECT scenario_name, outcome, rollback, reason FROM scenarios_run"
        return {name: (outcome, rollback, why) for name, outcome, rollback, why in self.installed.rows(query)}

    def count_unended(self) -> int:
        query = "SELECT count(*) FROM scenarios_run WHERE finished_at IS NULL"
        count: int = self.installed.rows(query)[0][0]
        return count


@contextmanager
def plain_system(data: Path, addresses: Mapping[str, str], **environment: str) -> Iterator[PlainSystem]:
    with coordinator(data, **ENVIRONMENT, **environment) as installed:
        installed.set_up()
        with command_process(installed.environment) as commands:
            yield PlainSystem(installed, commands, addresses)


@contextmanager
def price_feed(port: int, inside: Sequence[str], address: str = "127.0.0.1") -> Iterator[None]:
    """A backend that is started again when it has ended."""
    program = (
        f"from coordinator_site.price_feed import *; Server(({address!r}, {port}), PriceFeed).serve_forever()"
    )
    again = f'for _ in 1 2 3 4; do "{sys.executable}" -c "{program}"; sleep 1; done'
    process = subprocess.Popen([*inside, "sh", "-c", again], cwd=PROJECT, start_new_session=True)
    try:
        wait_for(lambda: is_listening(port, address), what="the price feed listens")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def small_folder(folder: Path) -> Iterator[list[str]]:
    """The words before a command for which this folder is a small disk."""
    folder.mkdir()
    command = small_disk.inside(folder, "sh", "-c", "echo there; exec sleep 600")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        words = ["nsenter", "--preserve-credentials", "--user", "--mount"]
        try:
            yield [*words, f"--target={process.pid}", f"--wd={PROJECT}"]
        finally:
            process.kill()


def create_orders(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ORDERS)
