"""The faults of a proxy: each ends by itself one lease after its last renewal, by a clock nobody can set."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from injector.faults import Fault

MIN_LEASE = 1.0
MAX_LEASE = 3600.0
MAX_FAULTS = 1000
MAX_REMOVED = 10_000


class FaultGoneError(LookupError):
    """The proxy does not have this fault: it ended, was removed, or the proxy has been restarted."""


class FaultRemovedError(ValueError):
    """The fault was already removed: a request to inject it has arrived late, and is refused."""


class TooManyFaultsError(ValueError):
    """The proxy has as many faults as it allows."""


@dataclass(slots=True)
class Held:
    fault: Fault
    listener: str
    until: float
    """By `time.monotonic`."""
    injected_at: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.until - time.monotonic())


class FaultTable:
    """The faults by their id. `changed` is called with the listener whose faults have changed."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._held: dict[str, Held] = {}
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.expired = 0
        """How many have ended by themselves."""

    def __iter__(self) -> Iterator[tuple[str, Held]]:
        return iter(list(self._held.items()))

    def inject(self, fault_id: str, fault: Fault, listener: str, lease: float) -> Held:
        """Inject the fault. Injecting it again renews it.

        Raises:
            FaultRemovedError: it was removed before.
            TooManyFaultsError: the proxy has as many as it allows.
        """
        if fault_id in self._removed:
            raise FaultRemovedError(fault_id)
        if fault_id not in self._held and len(self._held) >= MAX_FAULTS:
            raise TooManyFaultsError(f"this proxy has {MAX_FAULTS} faults; remove some first")
        before = self._held.get(fault_id)
        self._held[fault_id] = Held(fault, listener, time.monotonic() + lease)
        self._set_timer(fault_id)
        self._changed(listener)
        if before is not None and before.listener != listener:
            self._changed(before.listener)
        return self._held[fault_id]

    def renew(self, fault_id: str, lease: float) -> Held:
        """Keep the fault for another lease from now on.

        Raises:
            FaultGoneError: it is not here.
        """
        held = self.find(fault_id)
        held.until = time.monotonic() + lease
        self._set_timer(fault_id)
        return held

    def find(self, fault_id: str) -> Held:
        """The fault with this id.

        Raises:
            FaultGoneError: it is not here.
        """
        held = self._held.get(fault_id)
        if held is None or not held.seconds_left:
            raise FaultGoneError(fault_id)
        return held

    def remove(self, fault_id: str) -> bool:
        """End the fault, and refuse it if it arrives later. An unknown one is refused from now on.

        Returns whether the proxy had it.
        """
        self._removed[fault_id] = None
        while len(self._removed) > MAX_REMOVED:
            self._removed.popitem(last=False)
        return self._forget(fault_id)

    def of_listener(self, listener: str) -> dict[str, Fault]:
        return {name: held.fault for name, held in self._held.items() if held.listener == listener}

    def close(self) -> None:
        for fault_id in list(self._held):
            self._forget(fault_id)

    def _set_timer(self, fault_id: str) -> None:
        if fault_id in self._timers:
            self._timers.pop(fault_id).cancel()
        seconds = self._held[fault_id].seconds_left
        self._timers[fault_id] = asyncio.get_running_loop().call_later(seconds, self._expire, fault_id)

    def _expire(self, fault_id: str) -> None:
        held = self._held.get(fault_id)
        if held is not None and held.seconds_left:
            self._set_timer(fault_id)  # the timer was early by a rounding
        elif held is not None:
            self.expired += 1
            self._forget(fault_id)

    def _forget(self, fault_id: str) -> bool:
        timer = self._timers.pop(fault_id, None)
        if timer is not None:
            timer.cancel()
        held = self._held.pop(fault_id, None)
        if held is not None:
            self._changed(held.listener)
        return held is not None
