"""What a fault of the proxy does, as its control API takes it: durations in seconds, sizes in bytes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

MAX_SECONDS = 3600.0
MAX_BYTES = 1 << 40


class FaultError(ValueError):
    """A fault that makes no sense; the message names the field, its value and the rule."""


class Direction(StrEnum):
    """`UP` is what the client sends, `DOWN` what it receives."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Fault:
    """Each field is one kind; several of them hold together. Those of one direction say so in `direction`."""

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
    direction: Direction = Direction.DOWN
    share: float = 1.0
    """The share of connections that have the fault."""
    seed: int = 0
    """The same seed chooses the same connections, by the order in which they come."""

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
)


def parse_fault(given: object) -> Fault:
    """The fault that a JSON object describes.

    Raises:
        FaultError: it has a field that does not exist, a value out of its range, or no effect at all.
    """
    if not isinstance(given, Mapping):
        raise FaultError(f"a fault is an object, as in {{'latency': 0.3}}; not {given!r}")
    names = [field.name for field in fields(Fault)]
    for name in given:
        if name not in names:
            raise FaultError(f"unknown field {name!r}; choose from {', '.join(names)}")
    values = {name: _PARSERS[name](name, value) for name, value in given.items()}
    fault = Fault(**values)
    if not any(getattr(fault, kind) for kind in KINDS) and fault.reset_after is fault.cut_after is None:
        raise FaultError(f"the fault has no effect; give at least one of {', '.join(KINDS)}")
    if fault.jitter > fault.latency:
        raise FaultError(
            f"jitter={fault.jitter!r} is more than latency={fault.latency!r}; data cannot be early"
        )
    return fault


def _number(name: str, value: object, most: float, *, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FaultError(f"{name}={value!r} is not a number")
    if not least <= value <= most:
        raise FaultError(f"{name}={value!r} is out of range; give {least:g} to {most:g}")
    return float(value)


def _seconds(name: str, value: object) -> float:
    return _number(name, value, MAX_SECONDS)


def _share(name: str, value: object) -> float:
    return _number(name, value, 1.0)


def _rate(name: str, value: object) -> float:
    return _number(name, value, MAX_BYTES, least=1.0)


def _whole(name: str, value: object) -> int:
    number = _number(name, value, MAX_BYTES)
    if number != int(number):
        raise FaultError(f"{name}={value!r} is not a whole number")
    return int(number)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise FaultError(f"{name}={value!r} is neither true nor false")
    return value


def _direction(name: str, value: object) -> Direction:
    try:
        return Direction(str(value))
    except ValueError as error:
        raise FaultError(f"{name}={value!r} is unknown; choose one of {', '.join(Direction)}") from error


_PARSERS: Mapping[str, Any] = {
    "latency": _seconds,
    "jitter": _seconds,
    "bandwidth": _rate,
    "refuse": _flag,
    "hang": _flag,
    "reset": _flag,
    "reset_after": _whole,
    "cut_after": _whole,
    "slow_close": _seconds,
    "corrupt": _share,
    "direction": _direction,
    "share": _share,
    "seed": _whole,
}
