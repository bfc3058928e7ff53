"""What clients of an HTTP server see of HTTP faults."""

import asyncio
import time

import aiohttp
import pytest

from injector.http_exchanges import PARTS_AT_ONCE
from injector.values import FaultError
from tests.unit.injector.conftest import Bench, read, upstream


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


async def test_a_body_of_many_small_chunks_holds_up_no_other_connection(bench: Bench) -> None:
    """It arrives unchanged, and the loop has its turn many times meanwhile."""
    chunks = b"".join(b"1\r\n%c\r\n" % (97 + number % 26) for number in range(20_000)) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + chunks)
        await writer.drain()

    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    bench.inject(http={"path": "/other", "status": 500})
    async with upstream(bench, answer):
        reader, writer = await bench.connect()
        counting = asyncio.create_task(count_turns())
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert await reader.read() == head + chunks
        counting.cancel()
        writer.close()
    assert turns > 20_000 / PARTS_AT_ONCE


async def test_a_body_of_many_small_chunks_is_cut_where_the_fault_says(bench: Bench) -> None:
    """Although the upstream has already closed the connection when the proxy gets there."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5_000)

    bench.inject(http={"truncate": 3 * 6 * PARTS_AT_ONCE, "set_headers": {"X-Broken": "yes"}})
    async with upstream(bench, answer):
        reader, writer = await bench.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert b"X-Broken: yes" in head
    assert body == b"1\r\nx\r\n" * (3 * PARTS_AT_ONCE)


async def test_many_small_chunks_of_a_request_and_pipelined_requests_arrive_unchanged(bench: Bench) -> None:
    received = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            received.extend(data)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 1_001)

    bench.inject(http={"path": "/other", "status": 500})
    chunks = b"1\r\nx\r\n" * 3_000 + b"0\r\n\r\n"
    posted = b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    pipelined = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n" * 1_000
    async with upstream(bench, answer):
        reader, writer = await bench.connect()
        writer.write(posted + pipelined)
        writer.write_eof()
        assert (await reader.read()).count(b"200 OK") == 1_001
        writer.close()
    assert bytes(received) == posted + pipelined
