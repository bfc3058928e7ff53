"""The process that sends a load: `python -m scenarios.load.sender`, started by load/process.py.

Open loop: request k is due `k / rate` seconds after the start, whatever became of the earlier ones, and its
latency counts from then. A request that waits because the sender or the target is busy is thus not hidden
(https://www.scylladb.com/2021/04/22/on-coordinated-omission/).

Orders arrive on the standard input, one JSON object a line: what to send first, then a line each second,
with the number of the phase that goes on. What was measured leaves on the standard output in the same way.
It ends when its input ends, as with the death of the process that started it, or is silent for too long.
"""

import asyncio
import gc
import json
import os
import resource
import ssl
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

from scenarios.domain.load_tally import Tally
from scenarios.load.connection import TIMEOUT, Exchange, Pool, Target
from scenarios.load.requests import Requests
from scenarios.load.timer import ExactTimer

FLUSH_SECONDS = 0.25
SWEEP_SECONDS = 0.02
MAX_CONNECTIONS = 10_000
# Kept for the pipes and the event loop.
_SPARE_FILES = 64
# Sent in one turn of the event loop: answers must be read between them.
_MAX_AT_ONCE = 64
_MAX_ORDER_BYTES = 64 * 1024 * 1024
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_GOOD_STATUSES = range(200, 400)
Place = tuple[int, int]


class Sender:
    """Sends one load. `order` is what load/process.py writes first."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        draft = order["request"]
        self._interval = 1.0 / order["rate"]
        self._timeout: float = order["timeout"]
        self._left: int = order["max_requests"]
        self._accepted = frozenset(draft["ok"]) if draft["ok"] else _GOOD_STATUSES
        self._requests = Requests(draft, order["choose"], order["seed"])
        target = Target(
            host=draft["host"],
            addresses=[(address, port) for address, port in draft["addresses"]],
            tls=ssl.create_default_context() if draft["is_tls"] else None,
            is_head=draft["method"] == "HEAD",
            may_repeat=draft["method"] in _READING_METHODS,
        )
        self._pool = Pool(target, self._note_answer, _raise_file_limit())
        self._loop = asyncio.get_running_loop()
        self._timer = ExactTimer(self._tick)
        self._begun = self._loop.time()
        self._count = 0
        self._phase = -1
        self._changed: dict[Place, Tally] = {}
        self._waiting: deque[Exchange] = deque()
        self.is_over = False

    def begin(self) -> None:
        self._begun = self._loop.time()
        self._tick()
        self._sweep()

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

    def _tick(self) -> None:
        now = self._loop.time()
        for _ in range(_MAX_AT_ONCE):
            due = self._begun + self._count * self._interval
            if due > now:
                break
            if self._left <= 0:
                self.is_over = True
                return
            self._send(due, now)
        self._timer.call_at(self._begun + self._count * self._interval)

    def _send(self, due: float, now: float) -> None:
        self._count += 1
        self._left -= 1
        place = (int(due - self._begun), self._phase)
        tally = self._find_tally(place)
        if self._pool.is_full:
            tally.unsent += 1
            return
        found = self._requests.draw()
        content = b"".join((found.head, _build_trace_parent(), found.rest))
        exchange = Exchange(due, due + self._timeout, content, place)
        tally.sent += 1
        tally.lateness.add(now - due)
        self._waiting.append(exchange)
        self._pool.send(exchange)

    def _find_tally(self, place: Place) -> Tally:
        tally = self._changed.get(place)
        if tally is None:
            tally = self._changed[place] = Tally()
        return tally

    def _note_answer(self, exchange: Exchange, error: str) -> None:
        tally = self._find_tally(exchange.place)
        tally.answered += 1
        if exchange.status and not error and exchange.status not in self._accepted:
            error = f"status {exchange.status}"
        if error:
            tally.errors[error] += 1
        if error == TIMEOUT:
            tally.latency.add(self._timeout)
        elif exchange.status:
            tally.latency.add(self._loop.time() - exchange.due)

    def _sweep(self) -> None:
        """End what has reached its timeout: all have the same, so that the oldest are first."""
        now = self._loop.time()
        waiting = self._waiting
        while waiting and (waiting[0].is_over or waiting[0].deadline <= now):
            exchange = waiting.popleft()
            if not exchange.is_over:
                connection = exchange.connection
                exchange.status = 0
                self._pool.finish(exchange, TIMEOUT)
                if connection is not None:
                    connection.abort()
        self._loop.call_later(SWEEP_SECONDS, self._sweep)


def _build_trace_parent() -> bytes:
    """https://www.w3.org/TR/trace-context/#traceparent-header, a new trace each time."""
    found = os.urandom(24).hex()
    return f"00-{found[:32]}-{found[32:]}-01".encode()


def _raise_file_limit() -> int:
    """How many connections the process may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - _SPARE_FILES)


async def _open_pipes() -> tuple[asyncio.StreamReader, asyncio.WriteTransport]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_MAX_ORDER_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    return reader, transport


async def _send_until_silence() -> None:
    """Returns when the process that started this one has ended, or says nothing for too long."""
    reader, out = await _open_pipes()
    order = json.loads(await reader.readline())
    sender = Sender(order)
    # A collection would otherwise look through all modules, and stop the clock for milliseconds.
    gc.collect()
    gc.freeze()
    _write(out, sender)  # it is ready
    is_begun = False
    while line := await _read_in_time(reader, order["silence"]):
        sender.enter_phase(json.loads(line)["phase"])
        if not is_begun:
            is_begun = True
            sender.begin()
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, _report, out, sender)
        _write(out, sender)


async def _read_in_time(reader: asyncio.StreamReader, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.readline()
    except TimeoutError:
        return b""


def _report(out: asyncio.WriteTransport, sender: Sender) -> None:
    _write(out, sender)
    asyncio.get_running_loop().call_later(FLUSH_SECONDS, _report, out, sender)


def _write(out: asyncio.WriteTransport, sender: Sender) -> None:
    out.write(json.dumps(sender.collect()).encode() + b"\n")


async def _send_and_exit() -> None:
    await _send_until_silence()
    os._exit(0)  # without waiting for what is on its way: connections are cut


if __name__ == "__main__":
    asyncio.run(_send_and_exit())
