"""A fault proxy before a server that both really listen on the loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from injector.configuration import Listener, Settings
from injector.connections import Upstream
from injector.faults import parse_fault
from injector.forwarding import ForwardingLoop
from injector.proxy import Proxy
from injector.tokens import Tokens

TOKEN = "open-sesame"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The proxy's own loop: on others, there is no direct path."""
    return {"forwarding": ForwardingLoop}


class Answered(NamedTuple):
    status: int
    content: Any


class Bench:
    """The proxy, and how a test speaks to it."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        ((self.listener, self.relay),) = proxy.relays.items()
        self.last_head = ""
        """Of the last answer, with its headers."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.relay.address)

    def inject(self, name: str = "f1", lease: float = 60, **fault: Any) -> None:
        self.proxy.faults.inject(name, parse_fault(fault), self.listener, lease)

    async def ask(self, method: str, path: str, content: Any = None, *, token: str = TOKEN) -> Answered:
        body = b"" if content is None else json.dumps(content).encode()
        return await self.send(method, path, f"Bearer {token}", body)

    async def send(self, method: str, path: str, authorization: str, body: bytes) -> Answered:
        reader, writer = await asyncio.open_connection(*self.proxy.control_address)
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Authorization: {authorization}",
            f"Content-Length: {len(body)}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        answer = await reader.read()
        writer.close()
        first, _, rest = answer.partition(b"\r\n\r\n")
        text = rest.decode()
        self.last_head = first.decode()
        return Answered(int(first.split()[1]), json.loads(text) if text.startswith("{") else text)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, and ends when the client has ended."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        pass
    finally:
        writer.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it holds; generous, for a busy machine."""
    async with asyncio.timeout(120):
        while not await condition():  # noqa: ASYNC110 - it is of another process, or of a timer
            await asyncio.sleep(0.02)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[:2]
    listener = Listener(("127.0.0.1", 0), upstream)
    proxy = Proxy(Settings((listener,), ("127.0.0.1", 0)), Tokens([TOKEN]))
    await proxy.start()
    yield Bench(proxy)
    proxy.stop()
    server.close()
    await asyncio.sleep(0)


async def show(request: web.Request) -> web.StreamResponse:
    body = await request.text()
    return web.Response(text=f"{request.method} {request.path} {body}", headers={"Server": "shop"})


async def chat(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data * 2)
    return socket


@pytest.fixture
async def shop(bench: Bench) -> AsyncIterator[Bench]:
    """The proxy before a web server."""
    app = web.Application()
    app.router.add_get("/chat", chat)
    app.router.add_route("*", "/{path:.*}", show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    bench.relay.upstream = Upstream(*runner.addresses[0][:2])
    yield bench
    await runner.cleanup()


@pytest.fixture
async def client(shop: Bench) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://{}:{}".format(*shop.relay.address)) as session:
        yield session


async def read(client: aiohttp.ClientSession, path: str = "/", method: str = "GET", **more: str) -> str:
    async with client.request(method, path, data=more.pop("data", None), headers=more) as response:
        return f"{response.status} {await response.text()}"


@asynccontextmanager
async def upstream(bench: Bench, handle: Handler) -> AsyncIterator[None]:
    async def handle_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle_and_close, "127.0.0.1", 0)
    bench.relay.upstream = Upstream(*server.sockets[0].getsockname()[:2])
    yield
    server.close()
