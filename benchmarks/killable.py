"""A coordinator on a PostgreSQL of its own, with targets of its own: all of it can be killed at once."""

import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.fault_machines import far_targets
from benchmarks.fault_targets import Breakable, Proxy, local_targets
from benchmarks.side_by_side import list_killed
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.coordinator import Coordinator
from tests.servers.loopback import wait_for
from tests.servers.network_namespaces import Machine
from tests.servers.postgresql import PostgreSQL, postgresql, programs

LEASE_SECONDS = 5.0
MAX_LATE_SECONDS = 30.0
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: everything}}
spec:
  phases:
    - name: chaos
      hold: 5m
      actions:
{actions}
"""
CLOSE_CONNECTIONS = "from django.db import connections; connections.close_all()"


def write_document(targets: Iterable[Breakable], folder: Path) -> Path:
    actions = "\n".join(
        f"        - {{name: {target.name}, fault: {json.dumps(target.fault)}}}" for target in targets
    )
    file = folder / "everything.yaml"
    file.write_text(DOCUMENT.format(actions=actions))
    return file


def collect_settings(targets: Sequence[Breakable]) -> dict[str, str]:
    settings = {name: value for target in targets for name, value in target.settings.items()}
    return {**settings, "LEASE_SECONDS": f"{LEASE_SECONDS:g}"}


def register(targets: Sequence[Breakable], commands: "CommandProcess | Coordinator") -> None:
    for words in dict.fromkeys(words for target in targets for words in target.registrations):
        commands.manage("scenario", *words)


@dataclass(frozen=True)
class Moment:
    """Names of targets: whose fault was in the ledger, which were still broken, and how much longer."""

    opened: Sequence[str]
    left: Mapping[str, float]


@dataclass
class Killable:
    """`states`: folders in which host programs remember their faults."""

    targets: Sequence[Breakable]
    proxies: Sequence[Proxy]
    machine: Machine
    states: Sequence[Path]
    server: PostgreSQL
    system: Coordinator
    filled: str
    commands: CommandProcess

    def meet(self, order: Sequence[Breakable], seconds: float, *, with_guardians: bool) -> Moment:
        """Kill everything so long after the first fault, and look a lease and a second later.

        `with_guardians`: also the guardians of host programs, and the fault proxies.
        """
        self._begin(order)
        time.sleep(seconds)
        self._kill(with_guardians=with_guardians)
        due = time.monotonic() + LEASE_SECONDS + 1.0
        if with_guardians:
            for proxy in self.proxies:
                proxy.start()
        time.sleep(max(0.0, due - time.monotonic()))
        left = {target.name: target for target in self.targets if target.is_broken()}
        late = {name: _measure_lateness(target, due) for name, target in left.items()}
        for target in left.values():
            target.mend()
        self.machine.plug_in()
        self.server.start()
        opened = [name for (name,) in self.system.rows("SELECT action FROM scenarios_fault")]
        return Moment(opened, late)

    def _begin(self, order: Sequence[Breakable]) -> None:
        self.renew_database()
        self.system.start_watchdog()
        self.system.start_worker()
        self.system.start_web()
        file = write_document(order, self.system.data)
        self.commands.manage("shell", "--no-imports", "-c", CLOSE_CONNECTIONS)
        while not self._has_fault():  # on a busy machine, hosts may answer too late before the run
            self.commands.manage("scenario", "run", str(file), "--detach")
            wait_for(lambda: self._has_fault() or self._has_ended(), what="the first fault is in the ledger")

    def _has_fault(self) -> bool:
        return bool(self.system.rows("SELECT 1 FROM scenarios_fault"))

    def _has_ended(self) -> bool:
        return not self.system.rows("SELECT 1 FROM scenarios_run WHERE finished_at IS NULL")

    def renew_database(self) -> None:
        name = self.system.environment["DATABASE_URL"].rpartition("/")[2]
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self.filled}".encode())

    def _kill(self, *, with_guardians: bool) -> None:
        processes = list(self.system.processes)
        pids = list_killed(processes)
        if with_guardians:
            pids += _list_guardians(self.states)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.kill()
        self.machine.unplug()
        if with_guardians:
            for proxy in self.proxies:
                proxy.kill()
        for process in processes:
            process.wait()


def _measure_lateness(target: Breakable, due: float) -> float:
    """Seconds until it was not broken any more; the longest that is waited for where it stays so."""
    while target.is_broken() and time.monotonic() - due < MAX_LATE_SECONDS:
        time.sleep(0.05)
    return time.monotonic() - due


def _list_guardians(states: Sequence[Path]) -> list[int]:
    files = [file for state in states for file in state.glob("guardian-*.json")]
    return [int(json.loads(file.read_text())["guardian"][0]) for file in files]


@contextmanager
def killable(number: int, machine: Machine, upstream: str, database: str) -> Iterator[Killable]:
    found = programs()
    assert found is not None, "PostgreSQL is not installed"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        (folder / "ssh").mkdir()
        here, proxy = stack.enter_context(local_targets(folder, upstream, database, f"orders_{number}"))
        far, far_proxy, state = stack.enter_context(far_targets(machine, folder / "ssh"))
        targets = [*here, *far]
        server = stack.enter_context(postgresql(found))
        filled = server.new_database()
        own = collect_settings(targets)
        data = folder / "data"
        with command_process(Coordinator(data, DATABASE_URL=filled, **own).environment) as commands:
            commands.manage("migrate", "--verbosity=0")
            register(targets, commands)
        system = Coordinator(data, DATABASE_URL=server.new_database(), HOST_NAME="here", **own)
        stack.callback(system.stop)
        commands = stack.enter_context(command_process(system.environment))
        states = [data / "host-faults" / "here", state]
        yield Killable(
            targets, [proxy, far_proxy], machine, states, server, system, filled.rpartition("/")[2], commands
        )
