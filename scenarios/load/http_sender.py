"""Sends HTTP requests at a constant rate."""

import asyncio
import os
import resource
import ssl
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.domain.tls_contexts import TlsFiles, build_context
from scenarios.load.connection import Exchange, Pool, Target
from scenarios.load.pace import TIMEOUT, Pace, Place
from scenarios.load.requests import Requests

SWEEP_SECONDS = 0.02
MAX_CONNECTIONS = 10_000
_TRACE_ID_DIGITS, _SPAN_ID_DIGITS = 32, 16
# Kept for the pipes and the event loop.
_SPARE_FILES = 64
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_GOOD_STATUSES = range(200, 400)


class HttpSender:
    """Sends a load of `http` requests. `order` is what load/process.py writes first."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        draft = order["request"]
        self._timeout: float = order["timeout"]
        self._accepted = frozenset(draft["ok"]) if draft["ok"] else _GOOD_STATUSES
        self._requests = Requests(draft, order["choose"], order["seed"])
        target = Target(
            host=draft["host"],
            addresses=[(address, port) for address, port in draft["addresses"]],
            tls=_build_tls(draft) if draft["is_tls"] else None,
            is_head=draft["method"] == "HEAD",
            may_repeat=draft["method"] in _READING_METHODS,
        )
        self._pool = Pool(target, self._note_answer, _raise_file_limit())
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Exchange] = deque()
        self.pace = Pace(order["rate"], order["max_requests"], self._send)

    def begin(self) -> None:
        self.pace.begin()
        self._sweep()

    def _send(self, due: float, place: Place) -> bool:
        if self._pool.is_full:
            return False
        found = self._requests.draw()
        trace = os.urandom((_TRACE_ID_DIGITS + _SPAN_ID_DIGITS) // 2).hex()
        content = b"".join((found.head, _build_trace_parent(trace), found.rest))
        exchange = Exchange(due, due + self._timeout, content, place, trace[:_TRACE_ID_DIGITS])
        self._waiting.append(exchange)
        self._pool.send(exchange)
        return True

    def _note_answer(self, exchange: Exchange, error: str) -> None:
        if exchange.status and not error and exchange.status not in self._accepted:
            error = f"status {exchange.status}"
        latency = None
        if error == TIMEOUT:
            latency = self._timeout
        elif exchange.status:
            latency = self._loop.time() - exchange.due
        self.pace.note_answer(exchange.place, error, latency, exchange.trace_id)

    def _sweep(self) -> None:
        """End the requests that have reached their timeout. All have the same, so the oldest come first."""
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


def _build_tls(draft: Mapping[str, Any]) -> ssl.SSLContext:
    ca, certificate = (Path(draft[word]) if draft.get(word) else None for word in ("ca", "certificate"))
    return build_context(TlsFiles(draft.get("verify", True), ca, certificate))


def _build_trace_parent(digits: str) -> bytes:
    """https://www.w3.org/TR/trace-context/#traceparent-header, from the ids of a trace and of a span."""
    return f"00-{digits[:_TRACE_ID_DIGITS]}-{digits[_TRACE_ID_DIGITS:]}-01".encode()


def _raise_file_limit() -> int:
    """How many connections the process may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(1, allowed - _SPARE_FILES)
