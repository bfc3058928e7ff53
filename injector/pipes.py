"""One direction of a connection: data in order, delayed, slowed or broken by the faults."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from injector.corruption import corrupt
from injector.faults import Direction, Fault

MAX_WAITING_BYTES = 256 * 1024
"""Held back in one direction before the sender has to wait."""
PIECES_PER_SECOND = 20
"""Into how many pieces limited data is divided, so that it trickles instead of coming in bursts."""


@dataclass(slots=True)
class Waiting:
    arrived: float
    due: float
    data: bytes
    """Empty for the end of the data."""
    passed: int = 0
    """Bytes of it that were passed on already, where the bandwidth is limited."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The combined effect of several faults in one direction."""

    latency: float
    jitters: tuple[float, ...]
    bandwidth: float
    slow_close: float
    corrupt: float
    limits: tuple[tuple[int, bool], ...]
    """After how many bytes in all it ends, and whether by a reset."""

    @classmethod
    def add(cls, faults: Mapping[str, Fault], begun: Mapping[str, int]) -> "Effects":
        """`begun`: how many bytes had been passed on when the fault was injected."""
        every = faults.values()
        return cls(
            latency=sum(fault.latency for fault in every),
            jitters=tuple(fault.jitter for fault in every if fault.jitter),
            bandwidth=min((fault.bandwidth for fault in every if fault.bandwidth), default=0.0),
            slow_close=sum(fault.slow_close for fault in every),
            corrupt=max((fault.corrupt for fault in every), default=0.0),
            limits=tuple(
                (begun[name] + after, is_reset)
                for name, fault in faults.items()
                for after, is_reset in ((fault.cut_after, False), (fault.reset_after, True))
                if after is not None
            ),
        )


class Pipe:
    """Passes on what one side sends to the other.

    `cut` is called when a fault ends the connection here: with True to reset it, with False to close it.
    `ended` is called when the end of the data was passed on.
    """

    def __init__(
        self,
        direction: Direction,
        *,
        cut: Callable[[bool], None],
        ended: Callable[[], None],
        seed: int,
    ) -> None:
        self._direction = direction
        self._cut = cut
        self._ended = ended
        self._seed = seed
        self._loop = asyncio.get_running_loop()
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.passed = 0
        """Bytes forwarded."""
        self._faults: dict[str, Fault] = {}
        self._hanging: set[str] = set()
        self._effects: Effects | None = None
        """What the faults do together; None where it is to be found again."""
        self._limited: dict[str, int] = {}
        self._waiting: deque[Waiting] = deque()
        self.waiting_bytes = 0
        """Bytes that wait here until they are due."""
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._is_full = False
        self._is_sink_full = False
        self._has_ended = False

    def change_faults(self, added: Mapping[str, Fault], removed: Iterable[str]) -> None:
        """Apply these faults from now on instead of the earlier ones; data that waits is scheduled again."""
        for name in removed:
            self._faults.pop(name, None)
            self._hanging.discard(name)
            if name not in added:
                self._limited.pop(name, None)
        for name, fault in added.items():
            if fault.hang:
                self._hanging.add(name)  # whatever its direction
            if fault.concerns(self._direction):
                self._faults[name] = fault
                self._limited.setdefault(name, self.passed)
        self._effects = None
        if self._waiting:
            waiting, self._waiting = self._waiting, deque()
            self._free_at = time.monotonic()  # data that was limited before is not sent in a burst
            for item in waiting:
                self._plan(item.data[item.passed :], item.arrived)
        self._pump()

    def open_sink(self, sink: asyncio.Transport) -> None:
        self.sink = sink
        self._pump()

    @property
    def is_free(self) -> bool:
        """Whether no fault concerns the next data, and no other data waits before it."""
        held = self._waiting or self._faults or self._hanging
        return self.sink is not None and not (held or self._has_ended or self._is_full)

    def feed(self, data: bytes) -> None:
        if self.sink is not None and not self._waiting and not self._faults and not self._hanging:
            if not self.sink.is_closing():
                self.passed += len(data)
                self.sink.write(data)
            return
        if self._has_ended:
            return
        self.waiting_bytes += len(data)
        self._plan(data, time.monotonic())
        if self._timer is None:
            self._pump()
        else:
            self._hold_source()  # data that waits for the timer comes first

    def feed_end(self) -> None:
        """The source has sent its last data; the sink is told after it has all of it."""
        if not self._has_ended:
            self._has_ended = True
            self._plan(b"", time.monotonic())
            if self._timer is None:
                self._pump()

    def set_sink_full(self, is_full: bool) -> None:
        """Note that the sink accepts no data for now, or does again."""
        self._is_sink_full = is_full
        self._pump()
        self._hold_source()

    def set_held(self, size: int) -> None:
        """Note how many bytes from the source wait elsewhere before they get here."""
        if size != self._held_bytes:
            self._held_bytes = size
            self._hold_source()

    @property
    def is_done(self) -> bool:
        return self._has_ended and not self._waiting

    def close(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _plan(self, data: bytes, arrived: float) -> None:
        effects = self._find_effects()
        last = self._waiting[-1].due if self._waiting else 0.0
        due = max(last, arrived + effects.latency)
        if effects.jitters:
            due = max(last, due + sum(self._dice.uniform(-jitter, jitter) for jitter in effects.jitters))
        self._waiting.append(Waiting(arrived, due if data else due + effects.slow_close, data))

    @cached_property
    def _dice(self) -> random.Random:
        return random.Random(f"{self._direction}/{self._seed}")  # noqa: S311 - chooses delays and bits

    def _find_effects(self) -> "Effects":
        if self._effects is None:
            self._effects = Effects.add(self._faults, self._limited)
        return self._effects

    def _pump(self) -> None:
        """Pass on what is due, and set a timer for the rest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self.sink is not None and not self._hanging and not self._is_sink_full:
            item = self._waiting[0]
            size, due = self._find_next(item)
            seconds = due - time.monotonic()
            if seconds > 0:
                self._timer = self._loop.call_later(seconds, self._pump)
                break
            piece = item.data[item.passed : item.passed + size]
            item.passed += size
            self._free_at = due
            if item.passed >= len(item.data):
                self._waiting.popleft()
            self.waiting_bytes -= len(piece)
            self._hand_on(self.sink, piece)
        self._hold_source()

    def _find_next(self, item: Waiting) -> tuple[int, float]:
        """How many bytes of the item are passed on next, and when.

        Only the next piece is found, because slow data may have hundreds of thousands.
        """
        effects, left = self._find_effects(), len(item.data) - item.passed
        if not effects.bandwidth:
            return left, item.due
        if not left:
            return 0, max(item.due, self._free_at + effects.slow_close)
        size = min(left, max(1, int(effects.bandwidth / PIECES_PER_SECOND)))
        return size, max(item.due, self._free_at) + size / effects.bandwidth

    def _hand_on(self, sink: asyncio.Transport, data: bytes) -> None:
        if not data:
            _end(sink)
            self._ended()
            return
        if sink.is_closing():
            return  # nobody is there any more
        for end, is_reset in self._find_effects().limits:
            if self.passed + len(data) >= end:
                data = data[: max(0, end - self.passed)]
                self.passed += len(data)
                sink.write(self._corrupt(data))
                self._cut(is_reset)
                return
        self.passed += len(data)
        sink.write(self._corrupt(data))

    def _corrupt(self, data: bytes) -> bytes:
        share = self._find_effects().corrupt
        return corrupt(data, share, self._dice) if share else data

    def _hold_source(self) -> None:
        is_full = self._is_sink_full or self.waiting_bytes + self._held_bytes > MAX_WAITING_BYTES
        if is_full == self._is_full or self.source is None or self.source.is_closing():
            return
        self._is_full = is_full
        if is_full:
            self.source.pause_reading()
        else:
            self.source.resume_reading()


def _end(sink: asyncio.Transport) -> None:
    if not sink.can_write_eof() or sink.is_closing():
        return
    try:
        sink.write_eof()
    except OSError:
        sink.abort()  # its peer reset the connection while nothing was read from it
