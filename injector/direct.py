"""The two sockets of a connection while no fault concerns it and nothing else must be decided."""

import os
from typing import cast

from injector.forwarding import Forward, ForwardingSelector
from injector.sides import Side


class DirectPath:
    """Takes both directions at once: a socket is watched either by asyncio or here."""

    __slots__ = ("_numbers", "_selector", "_sides", "is_taken")

    def __init__(self, selector: ForwardingSelector | None, client: Side, upstream: Side) -> None:
        self._selector = selector
        self._sides = (client, upstream)
        self._numbers: tuple[int, ...] = ()
        self.is_taken = False

    def take(self) -> None:
        """Take both directions, if both sides are connected and no data waits."""
        if self._selector is None or self.is_taken or not all(side.is_free for side in self._sides):
            return
        self.is_taken = True
        client, upstream = self._sides
        self._numbers = tuple(side.number for side in self._sides)
        for side in self._sides:
            side.pause_reading()
        self._selector.forward(client.number, self._build_forward(client, upstream, self._selector.buffer))
        self._selector.forward(upstream.number, self._build_forward(upstream, client, self._selector.buffer))

    def leave(self) -> None:
        """Give both sockets back to asyncio."""
        if not self.is_taken:
            return
        self.is_taken = False
        for number in self._numbers:
            cast("ForwardingSelector", self._selector).stop_forwarding(number)
        for side in self._sides:
            side.resume_reading()

    def _build_forward(self, source: Side, sink: Side, buffer: bytearray) -> Forward:
        read, write, readable, writable = os.readv, os.write, source.number, sink.number
        pipe, buffers, view = source.sends, [buffer], memoryview(buffer)

        def forward() -> bool:
            try:
                size = read(readable, buffers)
            except BlockingIOError:
                return True
            except OSError as error:
                self._fail(source, error)
                return False
            if not size:
                self.leave()  # asyncio reads the end again
                return False
            pipe.passed += size
            try:
                sent = write(writable, view[:size])
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._fail(sink, error)
                return False
            if sent == size:
                return True
            self.leave()
            sink.write(bytes(view[sent:size]))  # asyncio holds the source until it is sent
            return False

        return forward

    def _fail(self, side: Side, error: OSError) -> None:
        self.leave()
        side.fail(error)
