"""What clients of an HTTP server see of faults of HTTP, and what passes unharmed beside them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from injector.connections import Upstream
from injector.http_faults import parse_http_fault
from injector.values import FaultError
from tests.unit.injector.conftest import Bench, until
from tests.without_module import run_without

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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


async def test_first_requests_fail_and_the_others_reach_the_upstream(
    shop: Bench, client: aiohttp.ClientSession
) -> None:
    shop.inject(http={"path": "/charge", "method": "post", "status": 503, "first": 2})
    assert await read(client, "/charge") == "200 GET /charge "
    assert await read(client, "/charge", "POST", data="1") == "503 "
    shop.inject(http={"path": "/charge", "method": "post", "status": 503, "first": 2})  # the same again
    assert await read(client, "/charge?to=x", "POST", data="2") == "503 "
    assert await read(client, "/charge", "POST", data="3") == "200 POST /charge 3"
    assert shop.relay.counts.connections == 1  # kept alive by client, proxy and upstream
    assert 'http_faulty_requests_total{listener="' in (await shop.ask("GET", "/metrics")).content
    assert shop.relay.counts.faulty_requests == 2


@pytest.mark.parametrize(
    ("choice", "hits"),
    [
        ({}, "/api/a /api/b /b"),
        ({"path": "/api/*"}, "/api/a /api/b"),
        ({"path": "/b"}, "/b"),
        ({"path": "*"}, ""),
        ({"headers": {"x-tenant": "b"}}, "/api/b /b"),
        ({"headers": {"X-Tenant": "b"}, "path": "/api/*"}, "/api/b"),
        ({"method": "PUT"}, ""),
    ],
)
async def test_path_method_and_headers_choose_the_requests(
    shop: Bench, client: aiohttp.ClientSession, choice: dict[str, object], hits: str
) -> None:
    if choice.get("path") == "*":
        with pytest.raises(FaultError, match="is not a path"):
            shop.inject(http={"status": 500, **choice})
        return
    shop.inject(http={"status": 500, **choice})
    found = []
    for path in ("/api/a", "/api/b", "/b"):
        async with client.get(path, headers={"X-Tenant": path[-1]}) as response:
            found += [path] if response.status == 500 else []
    assert " ".join(found) == hits


async def test_requests_that_have_the_fault_are_counted(shop: Bench, client: aiohttp.ClientSession) -> None:
    shop.inject(http={"path": "/charge", "status": 503})
    for path in ("/charge", "/", "/charge"):
        await read(client, path)
    assert (await shop.ask("GET", "/faults/f1")).content["touched"] == 2


async def test_a_share_of_the_requests_is_chosen_by_the_seed(
    shop: Bench, client: aiohttp.ClientSession
) -> None:
    statuses = []
    for name in ("f1", "f2"):
        shop.inject(name, http={"status": 500}, share=0.5, seed=3)
        statuses.append([await read(client) for _ in range(30)])
        shop.proxy.faults.remove(name)
    assert statuses[0] == statuses[1]
    assert 5 < statuses[0].count("500 ") < 25


async def test_delay_comes_before_the_upstream_and_ends_with_the_fault(
    shop: Bench, client: aiohttp.ClientSession
) -> None:
    shop.inject("f1", http={"delay": 0.4})
    started = time.monotonic()
    assert await read(client, "/slow") == "200 GET /slow "
    assert time.monotonic() - started >= 0.4
    shop.inject("f1", http={"delay": 600})
    waiting = asyncio.create_task(read(client, "/slow"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    shop.proxy.faults.remove("f1")
    assert await waiting == "200 GET /slow "
    shop.inject("f2", http={"delay": 0.4, "status": 504})
    started = time.monotonic()
    assert await read(client, "/slow") == "504 "
    assert time.monotonic() - started >= 0.4


async def test_headers_and_body_of_a_response_are_others(shop: Bench, client: aiohttp.ClientSession) -> None:
    shop.inject("f1", http={"path": "/a", "set_headers": {"server": "other", "Retry-After": "3"}})
    shop.inject("f2", http={"path": "/b", "body": '{"é": 1}', "set_headers": {"content-type": "text/json"}})
    async with client.get("/a") as response:
        assert (response.headers["Server"], response.headers["Retry-After"]) == ("other", "3")
        assert await response.text() == "GET /a "
    async with client.get("/b") as response:
        assert (response.status, response.content_type) == (200, "text/json")
        assert await response.json(content_type=None) == {"é": 1}
    async with client.head("/b") as response:
        assert (response.headers["Content-Length"], await response.read()) == ("9", b"")


@pytest.mark.parametrize("fault", [{"truncate": 4}, {"truncate": 4, "status": 200, "body": "GET /a "}])
async def test_body_is_truncated_after_so_many_bytes(shop: Bench, fault: dict[str, object]) -> None:
    shop.inject(http=fault)
    reader, writer = await shop.connect()
    writer.write(b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: 7" in head
    assert body == b"GET "
    writer.close()


async def test_pipelined_requests_are_answered_in_their_order(shop: Bench) -> None:
    shop.inject(http={"path": "/2", "body": "from the proxy", "delay": 0.1})
    reader, writer = await shop.connect()
    requests = [f"GET /{number} HTTP/1.1\r\nHost: shop\r\n\r\n" for number in (1, 2, 2, 3, 2)]
    last = "GET /4 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    writer.write("".join([*requests, last]).encode())
    answer = (await reader.read()).decode()
    places = [answer.index(text) for text in ("GET /1", "from the proxy", "GET /3", "GET /4")]
    assert places == sorted(places)
    assert [answer.count(text) for text in ("HTTP/1.1 200", "from the proxy")] == [6, 3]
    writer.close()


async def test_websockets_pass_unharmed(shop: Bench, client: aiohttp.ClientSession) -> None:
    shop.inject(http={"path": "/other", "status": 500})
    async with client.ws_connect("/chat") as socket:
        for text in ("hello", "x" * 100_000):
            await socket.send_str(text)
            assert await socket.receive_str() == text * 2
    assert await read(client, "/other") == "500 "
    assert shop.relay.counts.unread == 1


async def test_upgrade_that_the_upstream_refuses_leaves_the_connection_to_http(
    shop: Bench, client: aiohttp.ClientSession
) -> None:
    shop.inject(http={"path": "/other", "status": 500})
    assert await read(client, "/", Connection="Upgrade", Upgrade="h2c") == "200 GET / "
    assert await read(client, "/other") == "500 "
    assert shop.relay.counts.connections == 1


async def test_client_that_waits_for_continue_gets_its_answer(shop: Bench) -> None:
    shop.inject(http={"path": "/no", "status": 403})
    for path, words in (("/yes", b"100 Continue"), ("/no", b"403 Forbidden")):
        reader, writer = await shop.connect()
        lines = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        writer.write(lines.encode())
        assert words in await reader.readuntil(b"\r\n\r\n")
        if path == "/yes":
            writer.write(b"abc")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(13) == b"POST /yes abc"
        else:
            assert await reader.read() == b""
        writer.close()


async def test_established_connections_have_the_fault_from_their_next_request(
    shop: Bench, client: aiohttp.ClientSession
) -> None:
    for _ in range(3):
        assert await read(client) == "200 GET / "
        shop.inject("f1", http={"status": 500})
        assert await read(client) == "500 "
        shop.proxy.faults.close()
    (connection,) = shop.relay.open
    assert connection.client.takes is connection.up  # nothing is read any more


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01garbage", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x00" * 200_000]
)
async def test_what_is_not_http_passes_unharmed(bench: Bench, data: bytes) -> None:
    bench.inject(http={"status": 500})
    reader, writer = await bench.connect()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    writer.write_eof()
    assert (await reader.read()).startswith(b"GET /")
    assert bench.relay.counts.unread == 1
    writer.close()


async def test_requests_of_a_client_that_has_half_closed_are_answered(bench: Bench) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(await reader.read())
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{size}".encode())

    bench.inject(http={"path": "/no", "status": 500, "delay": 0.2})
    bench.inject("f2", http={"path": "/late", "delay": 0.2})
    async with upstream(bench, answer):
        for path, words in (("/no", b"500"), ("/late", b"\r\n\r\n31")):
            reader, writer = await bench.connect()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            writer.write_eof()
            assert words in await reader.read()
            writer.close()


async def test_delayed_upload_makes_its_sender_wait(bench: Bench) -> None:
    received = bytearray()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            received.extend(data)

    async with upstream(bench, swallow):
        bench.inject(http={"delay": 600})
        _, writer = await bench.connect()
        size = 30_000_000
        writer.write(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(size))
        await asyncio.sleep(0.3)
        (connection,) = bench.relay.open
        assert connection.client.transport is not None
        assert not connection.client.transport.is_reading()
        assert not received
        bench.proxy.faults.remove("f1")

        async def all_has_arrived() -> bool:
            return len(received) > size

        await until(all_has_arrived)
        writer.close()


HEADERS = {"length": "Content-Length: {}", "chunked": "Transfer-Encoding: chunked"}


def write_body(kind: str, body: bytes) -> tuple[str, bytes]:
    if kind == "chunked":
        chunk = f"{len(body):x};a=b\r\n".encode() + body + b"\r\n" if body else b""
        return "Transfer-Encoding: chunked\r\n", chunk + b"0\r\nTrailer: x\r\n\r\n"
    return f"Content-Length: {len(body)}\r\n", body


BODIES = st.builds(write_body, st.sampled_from(["length", "chunked"]), st.binary(max_size=3000))
EXCHANGE = st.tuples(
    st.sampled_from(["POST", "GET", "HEAD"]),
    BODIES,
    BODIES,
    st.sampled_from(["", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]),
)
CUTS = st.lists(st.integers(min_value=1, max_value=4000), max_size=12)


async def write_in_pieces(writer: asyncio.StreamWriter, data: bytes, cuts: list[int]) -> None:
    for cut in cuts:
        writer.write(data[:cut])
        data = data[cut:]
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(data)


@given(exchanges=st.lists(EXCHANGE, min_size=1, max_size=4), cuts=CUTS, ends=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_messages_without_a_fault_pass_to_the_last_byte(
    bench: Bench,
    exchanges: list[tuple[str, tuple[str, bytes], tuple[str, bytes], str]],
    cuts: list[int],
    ends: bool,
) -> None:
    requests = [
        f"{method} /{number} HTTP/1.1\r\nhost:  a\r\n{head}X:\t1\r\n\r\n".encode() + body
        for number, (method, (head, body), _, _) in enumerate(exchanges)
    ]
    answers = [
        f"{interim}HTTP/1.1 200 Fine, thanks\r\nset-cookie: a\r\nSet-Cookie: b\r\n{head}\r\n".encode()
        + (b"" if method == "HEAD" else body)
        for method, _, (head, body), interim in exchanges
    ]
    received: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request, response in zip(requests, answers, strict=True):
            received.append(await reader.readexactly(len(request)))
            await write_in_pieces(writer, response, cuts)
        received.append(await reader.read())
        await writer.drain()

    async with upstream(bench, answer):
        bench.inject(http={"path": "/other", "status": 500})
        if ends:
            bench.inject("f2", latency=0.001, direction="both")
        reader, writer = await bench.connect()
        await write_in_pieces(writer, b"".join(requests), cuts)
        if ends:
            writer.write_eof()
        assert await reader.readexactly(sum(map(len, answers))) == b"".join(answers)
        writer.close()

        async def has_ended() -> bool:
            return len(received) == len(requests) + 1

        await until(has_ended)
    assert received == [*requests, b""]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "'http' is an object"),
        ({}, "no effect"),
        ({"path": "/"}, "no effect"),
        ({"status": 99}, "out of range"),
        ({"status": 500, "path": "charge"}, "is not a path"),
        ({"status": 500, "path": "/a*b"}, "is not a path"),
        ({"status": 500, "method": "a b"}, "is not a method"),
        ({"status": 500, "first": 0}, "out of range"),
        ({"set_headers": {"a": "b\r\nc"}}, "not a header"),
        ({"set_headers": {"a": "☃"}}, "outside Latin-1"),
        ({"set_headers": ["a"]}, "not an object of names"),
        ({"body": 5}, "is not text"),
        ({"statuss": 500}, "unknown field 'statuss'"),
    ],
)
def test_fault_of_http_that_makes_no_sense_is_refused_with_the_reason(given: object, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        parse_http_fault(given, 1.0, 0)


WITHOUT_H11 = """
from injector import program
from injector.faults import parse_fault
parse_fault({"latency": 0.3})
try:
    parse_fault({"http": {"status": 500}})
except ValueError as error:
    print(error)
"""


def test_without_h11_only_the_faults_of_http_are_refused() -> None:
    done = run_without("h11", WITHOUT_H11)
    assert done.stdout.startswith("faults of HTTP need the Python package h11"), done.stderr
