"""The event loop of the proxy: data that no fault concerns goes from socket to socket without asyncio.

A handle, a transport and a protocol for each piece of data take more time than reading and writing it. Here
the selector itself passes data on. When anything other than data arrives, asyncio gets the sockets back, and
finds the end of the data, or applies a fault to it, as if nothing had been in between.
"""

import asyncio
import contextlib
import math
import select
import selectors
import time
from collections.abc import Callable, Mapping
from typing import Any

from injector.lookups import look_up

BUFFER_SIZE = 256 * 1024
MAX_EVENTS = 256

Forward = Callable[[], bool]
"""Passes on what has come. False where asyncio may have something to do afterwards."""


class ForwardingSelector(selectors.BaseSelector):
    """Watches files for asyncio, and passes on data from sockets that asyncio does not watch."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._forwards: dict[int, Forward] = {}
        self.buffer = bytearray(BUFFER_SIZE)
        """For all sockets, because nothing is left in it when the next one is read."""

    def forward(self, number: int, forward: Forward) -> None:
        """Call `forward` whenever the socket with this file descriptor can be read."""
        self._epoll.register(number, select.EPOLLIN)
        self._forwards[number] = forward

    @property
    def is_forwarding(self) -> bool:
        return bool(self._forwards)

    def stop_forwarding(self, number: int) -> None:
        del self._forwards[number]
        self._epoll.unregister(number)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready for asyncio, as soon as there is something, or after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seconds = -1.0 if deadline is None else _round_up(deadline - time.monotonic())
            try:
                events = self._epoll.poll(seconds, MAX_EVENTS)
            except InterruptedError:
                return []
            ready, is_asyncio_next = self._pass_on(events)
            if is_asyncio_next or (deadline is not None and time.monotonic() >= deadline):
                return ready

    def _pass_on(self, events: list[tuple[int, int]]) -> tuple[list[tuple[selectors.SelectorKey, int]], bool]:
        forwards, ready, is_asyncio_next = self._forwards, [], not events
        for number, event in events:
            if (forward := forwards.get(number)) is not None:
                if not forward():
                    is_asyncio_next = True
            elif (key := self._keys.get(number)) is not None:
                ready.append((key, _find_events(event) & key.events))
        return ready, is_asyncio_next or bool(ready)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = _find_number(fileobj)
        if number in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        self._epoll.register(number, _find_mask(events))
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        number = _find_number(fileobj)
        key = self._keys.pop(number)
        with contextlib.suppress(OSError):  # it has been closed
            self._epoll.unregister(number)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = _find_number(fileobj)
        key = self._keys[number]
        if events != key.events:
            self._epoll.modify(number, _find_mask(events))
        key = self._keys[number] = key._replace(events=events, data=data)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[_find_number(fileobj)]

    def close(self) -> None:
        self._epoll.close()
        self._keys.clear()
        self._forwards.clear()


class ForwardingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.forwarding = ForwardingSelector()
        super().__init__(self.forwarding)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's own name
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Look up the names of upstreams so that one name server that hangs keeps no other waiting."""
        if host is None:  # all addresses of this machine
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        return await look_up(host, port, family=family, kind=type, protocol=proto, flags=flags)


def find_forwarding() -> ForwardingSelector | None:
    """The selector of the running loop, if it is a ForwardingSelector."""
    loop = asyncio.get_running_loop()
    return loop.forwarding if isinstance(loop, ForwardingLoop) else None


def _find_number(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _find_mask(events: int) -> int:
    reads = select.EPOLLIN if events & selectors.EVENT_READ else 0
    return reads | (select.EPOLLOUT if events & selectors.EVENT_WRITE else 0)


def _find_events(mask: int) -> int:
    """An error or a hang-up counts as both, so that readers and writers notice it."""
    reads = selectors.EVENT_READ if mask & ~select.EPOLLOUT else 0
    return reads | (selectors.EVENT_WRITE if mask & ~select.EPOLLIN else 0)


def _round_up(seconds: float) -> float:
    """Round up to milliseconds, as epoll takes them: after too short a wait, it would wait again."""
    return math.ceil(max(0.0, seconds) * 1e3) * 1e-3
