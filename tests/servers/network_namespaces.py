"""Separate machines as far as the network is concerned: Linux network namespaces, joined by a bridge.

https://man7.org/linux/man-pages/man8/ip-netns.8.html
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

# Of the network that is kept for tests between devices (RFC 2544).
NETWORK = "198.18.77"
HERE = f"{NETWORK}.1"


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
        """Whatever it sends is lost on the way, and nothing tells it so."""
        ip("link", "set", self.cable, "nomaster")

    def deliver_packets(self) -> None:
        ip("link", "set", self.cable, "master", self.bridge)

    def plug_in(self) -> None:
        ip("-n", self.name, "link", "set", "eth0", "up")


def can_be_had() -> bool:
    """Root alone may make them, and not in every container."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    probe = f"probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        return False
    ip("netns", "delete", probe)
    return True


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def machines(*names: str) -> Iterator[list[Machine]]:
    """So many machines on one network, on which this one is HERE."""
    bridge = f"br{os.getpid()}"
    with ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "delete", bridge)
        ip("address", "add", f"{HERE}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        yield [
            _machine(stack, bridge, f"{name}-{os.getpid()}", number) for number, name in enumerate(names, 2)
        ]


def _machine(stack: ExitStack, bridge: str, name: str, number: int) -> Machine:
    cable = f"v{number}-{os.getpid()}"
    machine = Machine(name, f"{NETWORK}.{number}", bridge, cable)
    ip("netns", "add", name)
    stack.callback(ip, "netns", "delete", name)
    ip("link", "add", cable, "master", bridge, "type", "veth", "peer", "name", "eth0", "netns", name)
    ip("link", "set", cable, "up")
    ip("-n", name, "address", "add", f"{machine.address}/24", "dev", "eth0")
    ip("-n", name, "link", "set", "lo", "up")
    machine.plug_in()
    return machine
