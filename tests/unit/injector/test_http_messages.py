"""What passes unharmed beside HTTP faults, to the last byte and in its order."""

import asyncio

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from injector.http_messages import set_headers
from tests.unit.injector.conftest import Bench, read, until, upstream


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


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01garbage", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"\x00" * 200_000]
)
async def test_traffic_other_than_http_passes_unharmed(bench: Bench, data: bytes) -> None:
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

        async def is_held_back() -> bool:
            return [connection.client.transport.is_reading() for connection in bench.relay.open] == [False]  # type: ignore[union-attr] # it is connected

        await until(is_held_back)
        assert not received
        bench.proxy.faults.remove("f1")

        async def all_has_arrived() -> bool:
            return len(received) > size

        await until(all_has_arrived)
        writer.close()


def test_head_whose_lines_end_without_carriage_return_keeps_its_end() -> None:
    """As those of some old servers do; h11 reads them."""
    head = b"HTTP/1.1 200 OK\nServer: old\nContent-Length: 0\n\n"
    changed = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nserver: other\r\n\r\n"
    assert set_headers(head, [("server", "other")]) == changed
    assert set_headers(head.replace(b"\n", b"\r\n"), [("server", "other")]) == changed


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
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
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
