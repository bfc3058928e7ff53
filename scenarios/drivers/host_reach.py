"""Which connections a fault of a host breaks, as far as its arguments say so."""

from collections.abc import Mapping
from typing import Any

from scenarios.drivers.host_arguments import find_kind
from scenarios.drivers.hosts import find_port

_OF_PROCESSES = frozenset({"pause", "kill"})
_OF_CONNECTIONS = frozenset({"blackhole", "reset", "loss", "latency", "bandwidth"})


def list_reached(arguments: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The addresses and ports whose connections the fault breaks, as the host sees them.

    The address is "" for the host itself, and may be 'any'; the port is 0 for all of them. A process that is
    named by its unit or pid file has none: where it listens is not known before.
    """
    kind = find_kind(arguments)
    target = arguments.get(kind)
    if not isinstance(target, Mapping):
        return []
    port = find_port(target)
    if kind in _OF_PROCESSES:
        return [("", port)] if port else []
    if kind not in _OF_CONNECTIONS:
        return []
    own = [("", port)] if "from" in target else []
    return own + ([(target["to"], port)] if isinstance(target.get("to"), str) else [])
