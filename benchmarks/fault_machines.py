"""Ordinary services on a separate machine, which are broken by ssh and by a fault proxy there.

The machine is a network and mount namespace with its own sshd. It can be unplugged, so its services are
checked from inside.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fault_targets import (
    LATENCY,
    LOOK_SECONDS,
    Breakable,
    Proxy,
    build_proxied,
    is_stopped,
    start_server,
)
from tests.servers.network_namespaces import Loopback, Machine
from tests.servers.second_machine import IN_PROJECT, own_sshd, ssh_settings

KINDS = "pause,blackhole,latency"


def is_slow_inside(machine: Machine, address: str) -> bool:
    """Whether a client on the machine gets its HTTP response late, or never."""
    host, _, port = address.rpartition(":")
    with Loopback(machine.name).open_socket() as connection:
        connection.settimeout(LOOK_SECONDS)
        try:
            connection.connect((host, int(port)))
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return not connection.recv(100)
        except OSError:
            return True


@contextmanager
def far_targets(machine: Machine, folder: Path) -> Iterator[tuple[list[Breakable], Proxy, Path]]:
    """One of each kind, the fault proxy, and the folder in which its host program remembers its faults."""
    place, state = machine.address, folder / "state"
    with ExitStack() as stack:
        inside, ssh = stack.enter_context(own_sshd(machine, folder))
        own = {
            **ssh_settings(folder),
            "HOST_PROGRAM_COMMAND": f"{sys.executable} - --state {state} --allow-list {folder}/none.json "
            f"--allowed {KINDS}",
        }
        add = (("host", "add", "far", "--ssh", ssh.address),)
        pid, frozen = start_server(stack, place, inside)
        ports = [start_server(stack, place, inside)[1] for _ in range(3)]

        def build(name: str, kind: str, words: dict[str, Any], port: int) -> Breakable:
            fault = {"host": {"name": "far", kind: {**words, "port": port}}}
            look = lambda: is_slow_inside(machine, f"{place}:{port}")  # noqa: E731
            return Breakable(name, fault, look, add, own, is_by_ssh=True)

        paused = build("far-frozen", "pause", {}, frozen)
        paused.is_broken = lambda: is_stopped(pid)
        paused.mend = lambda: os.kill(pid, signal.SIGCONT)
        paused.needs_guardian = True
        lost = build("far-blackhole", "blackhole", {"to": place, "protocol": "tcp"}, ports[0])
        slow = build("far-slow", "latency", {"to": place, "delay": f"{LATENCY:g}s"}, ports[1])
        proxy = Proxy(f"{place}:{ports[2]}", 1, place, [*inside, IN_PROJECT])
        stack.callback(proxy.kill)
        proxy.start()
        words = {"latency": f"{LATENCY:g}s"}
        proxied = build_proxied(
            proxy, proxy.listeners[0], "far-proxied", words, lambda address: is_slow_inside(machine, address)
        )
        proxied.steps = None
        yield [paused, lost, slow, proxied], proxy, state
