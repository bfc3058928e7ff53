"""Separate machines as far as the network is concerned: Linux network namespaces, joined by a bridge.

https://man7.org/linux/man-pages/man8/ip-netns.8.html
"""

import ctypes
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.loopback import wait_for

# Of the network that is kept for tests between devices (RFC 2544).
NETWORK = "198.18.77"
HERE = f"{NETWORK}.1"
CLONE_NEWNET = 0x40000000
# Seconds in which an undisturbed connection is made here; tests wait longer only for one that must be made.
SOON = 0.3


@dataclass(frozen=True)
class Machine:
    name: str
    address: str
    bridge: str
    cable: str

    @property
    def inside(self) -> tuple[str, ...]:
        """The words before a command that is to run there; its process id stays the same."""
        return ("ip", "netns", "exec", self.name)

    def unplug(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "down")

    def lose_packets(self) -> None:
        """Lose everything that it sends, without an error."""
        ip("link", "set", self.cable, "nomaster")

    def deliver_packets(self) -> None:
        ip("link", "set", self.cable, "master", self.bridge)

    def plug_in(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "up")


def can_be_had() -> bool:
    """Whether they can be made: only by root, and not in every container."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    probe = f"probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        return False
    ip("netns", "delete", probe)
    return True


def can_filter() -> bool:
    """Whether nftables work in such a namespace."""
    if shutil.which("nft") is None or not can_be_had():
        return False
    command = ["unshare", "--net", "nft", "add", "table", "inet", "probe"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def find_free_network() -> str:
    """Find one of these networks that no other process of this machine uses now."""
    listed = subprocess.run(["ip", "-o", "-4", "address"], capture_output=True, text=True, check=True).stdout
    free = [f"198.19.{number}" for number in range(256) if f" 198.19.{number}." not in listed]
    return random.choice(free)  # noqa: S311 - no secret


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def machines(*names: str, network: str = NETWORK) -> Iterator[list[Machine]]:
    """This many machines on one network; the first is this one: HERE, on the usual network."""
    bridge = f"br{os.getpid()}"
    with ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "delete", bridge)
        ip("address", "add", f"{network}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        yield [
            _machine(stack, bridge, f"{name}-{os.getpid()}", f"{network}.{number}")
            for number, name in enumerate(names, 2)
        ]


def _machine(stack: ExitStack, bridge: str, name: str, address: str) -> Machine:
    cable = f"v{address.rpartition('.')[2]}-{os.getpid()}"
    machine = Machine(name, address, bridge, cable)
    ip("netns", "add", name)
    stack.callback(ip, "netns", "delete", name)
    ip("link", "add", cable, "master", bridge, "type", "veth", "peer", "name", "eth0", "netns", name)
    ip("link", "set", cable, "up")
    ip("-n", name, "address", "add", f"{machine.address}/24", "dev", "eth0")
    ip("-n", name, "link", "set", "lo", "up")
    machine.plug_in()
    return machine


class Loopback:
    """A network of its own that has only a loopback, and sockets of this process in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Its process id and mounts stay the same, unlike with `ip netns exec`.
        self.inside = ("nsenter", f"--net=/run/netns/{name}")

    def open_socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Open a socket there, in a separate thread, because a socket stays in the network of its thread."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._open_socket, family, kind).result()

    def _open_socket(self, family: int, kind: int) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open() as file:
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns failed")
        return socket.socket(family, kind)

    def listen(self, address: str = "127.0.0.1") -> socket.socket:
        server = self.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        server.bind((address, 0))
        server.listen(100)
        return server

    def connect(self, server: socket.socket, seconds: float = SOON) -> str:
        """Try to connect; returns 'connected', 'refused' or 'timeout'."""
        with self.open_socket(server.family) as client:
            client.settimeout(seconds)
            try:
                client.connect(server.getsockname()[:2])
            except TimeoutError:
                return "timeout"
            except ConnectionError:
                return "refused"
            return "connected"

    def wait_until_connected(self, server: socket.socket) -> None:
        wait_for(lambda: self.connect(server, 1.0) == "connected", what="the connection is made")

    def run(self, *command: str) -> str:
        return subprocess.run([*self.inside, *command], check=True, capture_output=True, text=True).stdout


@contextmanager
def loopback() -> Iterator[Loopback]:
    name = f"lo-{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield Loopback(name)
    finally:
        ip("netns", "delete", name)
