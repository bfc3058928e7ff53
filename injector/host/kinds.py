"""The kinds of fault by name."""

from __future__ import annotations

from injector.host.containers import Containers
from injector.host.disk import Disk
from injector.host.dns import Dns
from injector.host.kind import Kind
from injector.host.load import Cpu, Io, Memory
from injector.host.pause import Kill, Pause
from injector.host.redirects import Bandwidth, Latency
from injector.host.rules import Blackhole, Loss, Reset
from injector.host.unit_kinds import Restart, Stop

KINDS: dict[str, Kind] = {
    "pause": Pause(),
    "kill": Kill(),
    "restart": Restart(),
    "stop": Stop(),
    "blackhole": Blackhole(),
    "reset": Reset(),
    "loss": Loss(),
    "latency": Latency(),
    "bandwidth": Bandwidth(),
    "dns": Dns(),
    "cpu": Cpu(),
    "memory": Memory(),
    "io": Io(),
    "disk": Disk(),
    "container": Containers(),
}
# Not of this machine itself: the coordinator chooses its targets elsewhere.
APART = ("container",)
