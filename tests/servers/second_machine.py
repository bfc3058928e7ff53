"""A second machine with three ordinary services, and a fault proxy: a front, its backend and its database.

Its network, its mounts and its sshd are its own. What runs there is ended with it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.coordinator import PROJECT
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.network_namespaces import Machine, find_free_network, machines
from tests.servers.plain_system import TOKEN, create_orders, price_feed
from tests.servers.postgresql import PostgreSQL, postgresql, programs
from tests.servers.ssh_server import SshServer, ssh_server
from tests.servers.target_host import PROGRAM

# The words after those that enter the machine, for the modules of this project.
IN_PROJECT = f"--wd={PROJECT}"
# Faults are remembered in /run; what is found there decides whether systemd is used.
MOUNT = "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && echo there; exec sleep infinity"


def ssh_settings(folder: Path) -> dict[str, str]:
    """How a coordinator reaches the machine whose sshd has this folder."""
    return {
        "SSH_KEYS": str(folder / "key"),
        "SSH_KNOWN_HOSTS": str(folder / "known_hosts"),
        "HOST_PROGRAM_COMMAND": f"{sys.executable} - --allow-list {folder / 'host-faults.json'}",
    }


@dataclass(frozen=True)
class SecondMachine:
    """`orders` is the port of the proxy, which the front connects to."""

    machine: Machine
    inside: tuple[str, ...]
    ssh: SshServer
    database: PostgreSQL
    front: int
    backend: int
    orders: int
    control: int

    @property
    def address(self) -> str:
        return self.machine.address

    def list_faults(self) -> list[str]:
        """What the host program still has, and the rules of the kernel."""
        swept = self._run([sys.executable, str(PROGRAM)], json.dumps({"do": "sweep"}))
        return [*json.loads(swept)["active"], *self._run(["nft", "list", "ruleset"]).splitlines()]

    def _run(self, command: list[str], text: str = "") -> str:
        return subprocess.run(
            [*self.inside, *command], input=text, capture_output=True, text=True, check=True
        ).stdout


@contextmanager
def second_machine(folder: Path) -> Iterator[SecondMachine]:
    """`folder` is that of its sshd."""
    found = programs()
    assert found is not None
    with ExitStack() as stack:
        (machine,) = stack.enter_context(machines("second", network=find_free_network()))
        inside, ssh = stack.enter_context(own_sshd(machine, folder))
        database = stack.enter_context(postgresql(found, machine.address, inside))
        create_orders(database.url)
        ports = [free_port() for _ in range(4)]
        second = SecondMachine(machine, inside, ssh, database, *ports)
        stack.enter_context(price_feed(second.backend, [*inside, IN_PROJECT], machine.address))
        _start_services(stack, second, folder)
        _allow_faults(second, folder)
        yield second


@contextmanager
def own_sshd(machine: Machine, folder: Path) -> Iterator[tuple[tuple[str, ...], SshServer]]:
    """The words before a command that is to run with its network and mounts, and its sshd."""
    command = ["nsenter", f"--net=/run/netns/{machine.name}", "unshare", "--mount", "sh", "-c", MOUNT]
    with ExitStack() as stack:
        stack.callback(_end_processes, machine)
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        inside = ("nsenter", "--net", "--mount", f"--target={process.pid}")
        yield inside, stack.enter_context(ssh_server(folder, machine.address, inside))


def _start_services(stack: ExitStack, second: SecondMachine, folder: Path) -> None:
    place = second.address
    proxy = ["-m", "injector", "--control", f"{place}:{second.control}"]
    proxy += ["--listen", f"{place}:{second.orders}", "--upstream", f"{place}:{second.database.port}"]
    file = folder / "front.json"
    dependencies = {
        "backend": f"http://{place}:{second.backend}/prices",
        "orders": f"postgres://shop@{place}:{second.orders}/postgres",
    }
    file.write_text(json.dumps(dependencies))
    front = ["-m", "tests.servers.plain_shop", str(second.front), str(file), place]
    environment = {"PATH": os.environ["PATH"], "FAULT_PROXY_TOKEN": TOKEN}
    for words in (proxy, front):
        command = [*second.inside, IN_PROJECT, sys.executable, *words]
        process = subprocess.Popen(command, env=environment)
        stack.callback(process.wait)
        stack.callback(process.kill)
    for port in (second.control, second.front):
        wait_for(lambda: is_listening(port, place), what="its services listen")  # noqa: B023 - called at once


def _allow_faults(second: SecondMachine, folder: Path) -> None:
    """Root's own list: processes of the backend, and what this machine sends to itself."""
    backend, here = {"port": [second.backend]}, {"to": [second.address]}
    kinds = {"pause": backend, "kill": backend, "latency": here, "blackhole": here}
    (folder / "host-faults.json").write_text(json.dumps({"kinds": kinds}))


def _end_processes(machine: Machine) -> None:
    listed = subprocess.run(["ip", "netns", "pids", machine.name], capture_output=True, text=True, check=True)
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
