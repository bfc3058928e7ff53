"""A shop that knows nothing of chaos, and depends on backends, PostgreSQL, Redis and a disk.

It has what ordinary services have: a time limit for each dependency, connections that it keeps, and the last
answer where there is no better one.

    GET /look/NAME       asks the dependency; its last answer while it fails, 503 where there is none
    GET /careless/NAME   the same without a time limit and without a last answer: 502 while it fails
    GET /all             asks every dependency; 503 if one of them fails and has no last answer
    GET /health/NAME     503 while the last answer is old
    GET /seen            how often each dependency failed or was slow

`python -m tests.servers.plain_shop PORT FILE [ADDRESS]`: the file has the address of each dependency by its
name. It listens on ADDRESS, or on the loopback.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis.asyncio
from aiohttp import ClientSession, web

TIME_LIMIT = 0.4
SLOW = 0.15
CARELESS_LIMIT = 60.0


class Backend:
    def __init__(self, url: str) -> None:
        self._url = url

    async def ask(self) -> Any:
        async with ClientSession(raise_for_status=True) as session, session.get(self._url) as response:
            return (await response.json())["prices"]

    async def close(self) -> None:
        """Nothing: a session is closed after its request."""


class OldBackend:
    """Uses HTTP/1.0: the response ends with the connection."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    async def ask(self) -> Any:
        reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        try:
            writer.write(f"GET {self._address.path} HTTP/1.0\r\n\r\n".encode())
            answer = await reader.read(-1)
        finally:
            writer.transport.abort()
        return json.loads(answer.partition(b"\r\n\r\n")[2])["prices"]

    async def close(self) -> None:
        """As for the other backend."""


class Database:
    """Keeps its connection, as pools do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def ask(self) -> Any:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        cursor = await self._connection.execute("SELECT count(*) FROM orders")
        return await cursor.fetchone()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()


class UnpooledDatabase(Database):
    async def ask(self) -> Any:
        try:
            return await super().ask()
        finally:
            await self.close()


class Cache:
    """One connection of redis-py: its pool would hide that the server has closed one."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = redis.asyncio.Connection(host=str(address.hostname), port=address.port or 0)

    async def ask(self) -> Any:
        await self._connection.send_command("SET", "stock", "7")
        return str(await self._connection.read_response())

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


class Folder:
    def __init__(self, url: str) -> None:
        self._file = Path(urlsplit(url).path) / "orders"

    async def ask(self) -> Any:
        new = self._file.with_suffix(".new")
        new.write_bytes(b"x" * 20_000)
        new.replace(self._file)
        return new.name

    async def close(self) -> None:
        self._file.unlink(missing_ok=True)


KINDS: dict[str, Callable[[str], Any]] = {
    "http": Backend,
    "http10": OldBackend,
    "postgres": Database,
    "postgresql": UnpooledDatabase,
    "redis": Cache,
    "file": Folder,
}


class Dependency:
    def __init__(self, url: str) -> None:
        self._kind = KINDS[urlsplit(url).scheme](url)
        self._turn = asyncio.Lock()
        self.last: Any = None
        self.is_old = True
        self.seen: Counter[str] = Counter()

    async def ask(self, limit: float) -> Any:
        """Raises any error of the client libraries, or TimeoutError."""
        started = time.monotonic()
        async with self._turn:
            try:
                self.last = await within(limit, self._kind.ask)
                self.is_old = False
            except Exception:
                self.is_old = True
                self.seen["failed"] += 1
                await self._kind.close()
                raise
            finally:
                self.seen["slow"] += time.monotonic() - started > SLOW
        return self.last


async def within(seconds: float, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Unlike `asyncio.timeout`, it does not wait for the end: psycopg first asks the server to cancel."""
    task = asyncio.ensure_future(ask())
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise TimeoutError
    return task.result()


class Shop:
    def __init__(self, addresses: dict[str, str]) -> None:
        self._dependencies = {name: Dependency(url) for name, url in addresses.items()}

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/look/{name}", self.look)
        application.router.add_get("/careless/{name}", self.look_carelessly)
        application.router.add_get("/health/{name}", self.show_health)
        application.router.add_get("/all", self.look_at_all)
        application.router.add_get("/seen", self.show_seen)
        return application

    async def look(self, request: web.Request) -> web.Response:
        dependency = self._dependencies[request.match_info["name"]]
        try:
            await dependency.ask(TIME_LIMIT)
        except Exception as error:  # noqa: BLE001 - of three client libraries
            if dependency.last is None:
                return web.json_response({"error": repr(error)}, status=503)
        return web.json_response({"answer": dependency.last, "is_old": dependency.is_old})

    async def look_at_all(self, _request: web.Request) -> web.Response:
        names = list(self._dependencies)
        asked = (self._dependencies[name].ask(TIME_LIMIT) for name in names)
        found = await asyncio.gather(*asked, return_exceptions=True)
        answers = {name: self._dependencies[name].last for name in names}
        failed = [name for name, answer in zip(names, found, strict=True) if isinstance(answer, Exception)]
        status = 503 if any(answers[name] is None for name in failed) else 200
        return web.json_response({"answers": answers, "failed": failed}, status=status)

    async def look_carelessly(self, request: web.Request) -> web.Response:
        try:
            answer = await self._dependencies[request.match_info["name"]].ask(CARELESS_LIMIT)
        except Exception as error:  # noqa: BLE001 - of three client libraries
            return web.json_response({"error": repr(error)}, status=502)
        return web.json_response({"answer": answer})

    async def show_health(self, request: web.Request) -> web.Response:
        is_old = self._dependencies[request.match_info["name"]].is_old
        return web.json_response({"is_old": is_old}, status=503 if is_old else 200)

    async def show_seen(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {name: dependency.seen.total() for name, dependency in self._dependencies.items()}
        )


async def build() -> web.Application:
    return Shop(json.loads(Path(sys.argv[2]).read_text())).application()


if __name__ == "__main__":
    web.run_app(
        build(),
        host=sys.argv[3] if sys.argv[3:] else "127.0.0.1",
        port=int(sys.argv[1]),
        print=None,
        access_log=None,
        shutdown_timeout=1,
    )
