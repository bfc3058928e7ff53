"""What slows connections that a rule has redirected."""

from __future__ import annotations

import random
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from injector.host.arguments import Json, Refusal
from injector.host.limits import START_SECONDS, TICK_SECONDS
from injector.host.rules import MARK, SO_MARK

if TYPE_CHECKING:
    # Imported only for a relay, because it takes longer than all other imports together.
    import asyncio

# How long the connections of a relay may last after its fault.
LINGER_SECONDS = 600.0


class Relay:
    """Passes TCP connections on to their real target, slowly. Runs in its own thread.

    Connections outlive the fault: they go on at full speed until they end, or for LINGER_SECONDS.
    """

    def __init__(self, target: Json) -> None:
        self._target = target
        self._is_slow = True
        self._open = 0
        self._ready = threading.Event()
        self.port = 0

    def start(self) -> None:
        import asyncio  # noqa: PLC0415 - see above

        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        if not self._ready.wait(START_SECONDS / 2) or not self.port:
            raise Refusal("no port is free for the relay", "not_done")

    def stop(self) -> None:
        self._is_slow = False

    def wait(self) -> None:
        deadline = time.monotonic() + LINGER_SECONDS
        time.sleep(TICK_SECONDS)  # the kernel may have made connections that were not accepted yet
        while self._open and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)

    async def _serve(self) -> None:
        import asyncio  # noqa: PLC0415 - see above

        host = "::1" if ":" in self._target["ends"][0]["address"] else "127.0.0.1"
        try:
            server = await asyncio.start_server(self._pass_on, host, 0)
            self.port = server.sockets[0].getsockname()[1]
        finally:
            self._ready.set()
        async with server:
            await server.serve_forever()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import asyncio  # noqa: PLC0415 - see above

        self._open += 1
        try:
            answers, requests = await self._connect()
        except OSError:
            writer.transport.abort()
        else:
            up = asyncio.ensure_future(self._pump(reader, requests, is_slow=False))
            down = asyncio.ensure_future(self._pump(answers, writer, is_slow=True))
            await asyncio.gather(up, down, return_exceptions=True)
            for end in (writer, requests):
                end.close()
        finally:
            self._open -= 1

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        import asyncio  # noqa: PLC0415 - see above

        end = self._target["ends"][0]
        family = socket.AF_INET6 if ":" in end["address"] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK)  # else it would come here again
            loop = asyncio.get_event_loop()
            place = (end["address"], end["port"])
            await asyncio.wait_for(loop.sock_connect(connection, place), START_SECONDS)
            return await asyncio.open_connection(sock=connection)
        except asyncio.TimeoutError as error:  # noqa: UP041 - Python 3.8
            connection.close()
            raise OSError("the target did not answer") from error
        except OSError:
            connection.close()
            raise

    async def _pump(self, reader: Any, writer: Any, *, is_slow: bool) -> None:
        """Pass on all data in order, and then its end."""
        import asyncio  # noqa: PLC0415 - see above

        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        sender = asyncio.ensure_future(self._send(queue, writer, is_slow=is_slow))
        try:
            data = b"x"
            while data:
                try:
                    data = await reader.read(16_384)
                except OSError:
                    writer.transport.abort()  # a reset is one for the other side, too
                    return
                delay = self._draw_delay() if is_slow else 0.0
                await queue.put((time.monotonic() + delay, data))
            await sender
        finally:
            sender.cancel()

    def _draw_delay(self) -> float:
        jitter = self._target.get("jitter", 0.0)
        delay = self._target.get("delay", 0.0) + random.uniform(-jitter, jitter)  # noqa: S311 - no secret
        return delay if self._is_slow else 0.0

    async def _send(self, queue: asyncio.Queue[tuple[float, bytes]], writer: Any, *, is_slow: bool) -> None:
        import asyncio  # noqa: PLC0415 - see above

        rate = self._target.get("rate", 0) if is_slow else 0
        while True:
            due, data = await queue.get()
            while self._is_slow and due > time.monotonic():  # noqa: ASYNC110 - another thread ends it
                await asyncio.sleep(min(TICK_SECONDS, due - time.monotonic()))
            if not data:
                writer.write_eof()
                return
            step = max(1, int(rate * TICK_SECONDS)) if rate else len(data)
            for start in range(0, len(data), step):
                part = data[start : start + step]
                writer.write(part)
                await writer.drain()
                if rate and self._is_slow:
                    await asyncio.sleep(len(part) / rate)
