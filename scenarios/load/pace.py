"""When the requests of a load are due, whatever happened to the earlier ones, and how each ended."""

import asyncio
from collections.abc import Callable
from typing import Any

from scenarios.domain.load_tally import Tally
from scenarios.load.timer import ExactTimer

# How many are sent in one turn of the event loop: answers must be read in between.
_MAX_AT_ONCE = 64
TIMEOUT = "timeout"
# The second in which a request was due, and the phase that went on then.
Place = tuple[int, int]
# Sends the request that was due at this moment; False if it cannot be sent.
Send = Callable[[float, Place], bool]


class Pace:
    """`rate` requests per second, at most `max_requests` in all; `send` is called when each is due."""

    def __init__(self, rate: float, max_requests: int, send: Send) -> None:
        self._interval = 1.0 / rate
        self._left = max_requests
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer = ExactTimer(self._tick)
        self._begun = self._loop.time()
        self._count = 0
        self._phase = -1
        self._changed: dict[Place, Tally] = {}
        self.is_over = False

    def begin(self) -> None:
        self._begun = self._loop.time()
        self._tick()

    def enter_phase(self, phase: int) -> None:
        self._phase = phase

    def collect(self) -> dict[str, Any]:
        """What has changed since the last call: the tallies by the second and the phase of the due moment."""
        changed, self._changed = self._changed, {}
        return {
            "now": self._loop.time() - self._begun,
            "phase": self._phase,
            "is_over": self.is_over,
            "tallies": [[second, phase, tally.to_json()] for (second, phase), tally in changed.items()],
        }

    def note_answer(self, place: Place, error: str, latency: float | None, trace_id: str = "") -> None:
        """Count a request that was answered, or failed; `latency` is in seconds from when it was due."""
        self._find_tally(place).note_answer(error, latency, trace_id)

    def _tick(self) -> None:
        now = self._loop.time()
        for _ in range(_MAX_AT_ONCE):
            due = self._begun + self._count * self._interval
            if due > now:
                break
            if self._left <= 0:
                self.is_over = True
                return
            self._send_due(due, now)
        self._timer.call_at(self._begun + self._count * self._interval)

    def _send_due(self, due: float, now: float) -> None:
        self._count += 1
        self._left -= 1
        place = (int(due - self._begun), self._phase)
        tally = self._find_tally(place)
        if self._send(due, place):
            tally.sent += 1
            tally.lateness.add(now - due)
        else:
            tally.unsent += 1

    def _find_tally(self, place: Place) -> Tally:
        tally = self._changed.get(place)
        if tally is None:
            tally = self._changed[place] = Tally()
        return tally
