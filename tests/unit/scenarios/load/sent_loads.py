"""Loads that a real process sends to a server on loopback."""

import asyncio
import re
import select
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from scenarios.domain.load_tally import Tally
from scenarios.load.process import LoadProcess, LoadProcesses

# Generous: a busy machine may take long to start a process.
LIMIT = 240.0
# Of the event loop, until a connection that is accepted has its handler.
ROUNDS_TO_ACCEPT = 10
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


async def say(content: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(content)
    await writer.drain()


class Server:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.is_reached = asyncio.Event()
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                if length := re.search(rb"(?i)content-length: (\d+)", request):
                    request += await reader.readexactly(int(length[1]))
                self.requests.append(request)
                self.is_reached.set()
                await self.answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer, secured: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server, before = Server(answer), asyncio.all_tasks()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=secured) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            await accept_all(listening)
            listening.close()
            await end_connections(server, before)


async def accept_all(listening: asyncio.Server) -> None:
    """Accept what has arrived: asyncio loses a connection that it accepts while the server is closed."""
    for _ in range(ROUNDS_TO_ACCEPT):
        while select.select(listening.sockets, [], [], 0)[0]:  # noqa: ASYNC110 - the loop accepts, and no event tells
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def end_connections(server: Server, before: set[asyncio.Task[Any]]) -> None:
    """Also those that were accepted just now, whose tasks have not begun: their sockets would stay open."""
    for _ in range(100):
        for writer in server.writers:
            writer.transport.abort()
        if not (left := asyncio.all_tasks() - before):
            break
        await asyncio.wait(left, timeout=0.1)
    for writer in server.writers:
        with suppress(ConnectionError):
            await writer.wait_closed()
    await asyncio.sleep(0)


async def answer_ok(_request: bytes, writer: asyncio.StreamWriter) -> None:
    await say(OK, writer)


def order(port: int, path: str = "/", **more: Any) -> dict[str, Any]:
    request = {
        "url": f"http://127.0.0.1:{port}{path}",
        "host": "127.0.0.1",
        "addresses": [["127.0.0.1", port]],
        "is_tls": False,
        "method": "GET",
        "headers": {},
        "query": [],
        "has_json": False,
        "json": None,
        "body": None,
        "ok": None,
    }
    request.update(more.pop("request", {}))
    words = {
        "request": request,
        "choose": {},
        "rate": 200.0,
        "timeout": 100.0,
        "seed": "a",
        "max_requests": 40,
    }
    return {**words, **more}


@asynccontextmanager
async def loading(words: dict[str, Any]) -> AsyncIterator[LoadProcess]:
    load = await LoadProcesses().start(words)
    assert isinstance(load, LoadProcess)
    try:
        async with asyncio.timeout(LIMIT):
            assert await load.read() is not None
            yield load
    finally:
        load.kill()


async def collect(load: LoadProcess, phase: int = 0) -> dict[int, Tally]:
    """What became of all requests of the order, by phase."""
    load.enter_phase(phase)
    found: dict[int, Tally] = {}
    while (report := await load.read()) is not None:
        for _second, number, kept in report["tallies"]:
            found.setdefault(number, Tally()).merge(Tally.from_json(kept))
        if report["is_over"] and not any(tally.pending for tally in found.values()):
            return found
    raise AssertionError("the sender has ended")


async def send_all(words: dict[str, Any]) -> Tally:
    async with loading(words) as load:
        return (await collect(load))[0]
