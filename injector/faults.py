"""What a fault of the proxy does, as in its control API: durations in seconds, sizes in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from injector.http_faults import HttpFault, parse_http_fault
from injector.values import (
    FaultError,
    parse_fields,
    parse_flag,
    parse_rate,
    parse_seconds,
    parse_share,
    parse_whole,
)


class Direction(StrEnum):
    """`UP` is what the client sends, `DOWN` what it receives."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Fault:
    """Each field is one kind; several may be combined. `direction` limits it to one direction."""

    latency: float = 0.0
    """Seconds by which data is late, in its order."""
    jitter: float = 0.0
    """Seconds by which the latency is shorter or longer, at random."""
    bandwidth: float = 0.0
    """Bytes per second; 0 for no limit."""
    refuse: bool = False
    """New connections are refused."""
    hang: bool = False
    """Nothing is passed on, and new connections are accepted and not answered."""
    reset: bool = False
    """Connections are reset, established ones at once."""
    reset_after: int | None = None
    """Connections are reset after so many bytes."""
    cut_after: int | None = None
    """Connections are closed after so many bytes."""
    slow_close: float = 0.0
    """Seconds by which the end of the data is late."""
    corrupt: float = 0.0
    """The share of bytes that arrive with one bit flipped."""
    http: HttpFault | None = None
    """What happens to requests of HTTP/1.1; its share is one of requests."""
    direction: Direction = Direction.DOWN
    share: float = 1.0
    """The share of connections that have the fault."""
    seed: int = 0
    """The same seed chooses the same connections, by the order in which they come."""

    @property
    def has_tcp_kind(self) -> bool:
        return self.refuse or self.concerns_open_connections

    @property
    def concerns_open_connections(self) -> bool:
        """Whether it breaks connections that are older than the fault."""
        return (
            self.reset_after is not None
            or self.cut_after is not None
            or any(getattr(self, kind) for kind in KINDS if kind not in {"refuse", "http"})
        )

    def concerns(self, direction: Direction) -> bool:
        return self.direction in {direction, Direction.BOTH}


KINDS = (
    "latency",
    "bandwidth",
    "refuse",
    "hang",
    "reset",
    "reset_after",
    "cut_after",
    "slow_close",
    "corrupt",
    "http",
)


def parse_fault(given: object) -> Fault:
    """The fault that a JSON object describes.

    Raises:
        FaultError: it has a field that does not exist, a value out of its range, or no effect at all.
    """
    values = parse_fields(given, _PARSERS, "a fault", "{'latency': 0.3}")
    if "http" in values:
        values["http"] = parse_http_fault(values["http"], values.get("share", 1.0), values.get("seed", 0))
    fault = Fault(**values)
    if not fault.has_tcp_kind and fault.http is None:
        raise FaultError(f"the fault has no effect; give at least one of {', '.join(KINDS)}")
    if fault.jitter > fault.latency:
        raise FaultError(
            f"jitter={fault.jitter!r} is more than latency={fault.latency!r}; data cannot be early"
        )
    return fault


def _direction(name: str, value: object) -> Direction:
    try:
        return Direction(str(value))
    except ValueError as error:
        raise FaultError(f"{name}={value!r} is unknown; choose one of {', '.join(Direction)}") from error


def _keep(_name: str, value: object) -> object:
    return value


_PARSERS: Mapping[str, Any] = {
    "latency": parse_seconds,
    "jitter": parse_seconds,
    "bandwidth": parse_rate,
    "refuse": parse_flag,
    "hang": parse_flag,
    "reset": parse_flag,
    "reset_after": parse_whole,
    "cut_after": parse_whole,
    "slow_close": parse_seconds,
    "corrupt": parse_share,
    "http": _keep,
    "direction": _direction,
    "share": parse_share,
    "seed": parse_whole,
}
