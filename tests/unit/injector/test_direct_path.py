"""Data that no fault concerns goes straight to the other side; a fault that comes later is not missed."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any

import pytest

from injector.forwarding import BUFFER_SIZE, find_forwarding
from tests.unit.injector.conftest import Bench, until, upstream

COUNT = 800


def build_block(number: int) -> bytes:
    return number.to_bytes(4) * 16_384


def is_direct(bench: Bench) -> bool:
    (connection,) = bench.relay.open
    sides = (connection.client, connection.upstream)
    watched = {side.transport is not None and side.transport.is_reading() for side in sides}
    assert len(watched) == 1, "one side alone"
    return watched == {False}


async def test_direct_path_is_left_with_the_first_fault_and_taken_again_after_the_last(bench: Bench) -> None:
    reader, writer = await bench.connect()

    async def exchange(data: bytes) -> bool:
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        return is_direct(bench)

    await exchange(b"one")  # may come before the upstream is there, and wait
    assert await exchange(b"two")
    bench.inject("f1", slow_close=1, direction="both")
    bench.inject("f2", latency=0.01, direction="both")
    assert not is_direct(bench)
    assert not await exchange(b"three")
    bench.proxy.faults.remove("f2")
    assert not await exchange(b"four")
    bench.proxy.faults.remove("f1")
    assert await exchange(b"five")
    assert bench.relay.bytes_passed == (19, 19)
    writer.close()


async def test_fault_of_http_concerns_the_first_request_although_the_upstream_spoke_before(
    bench: Bench,
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(b"?")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with upstream(bench, answer):
        reader, writer = await bench.connect()

        async def is_accepted() -> bool:
            return bool(bench.relay.open)

        await until(is_accepted)
        bench.inject(http={"set_headers": {"X-Fault": "yes"}})
        writer.write(b"!!")
        assert await reader.readexactly(1) == b"?"
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"X-Fault: yes\r\n" in await reader.readuntil(b"\r\n\r\n")
        writer.close()


async def test_reset_in_the_middle_is_passed_on_to_the_other_side(bench: Bench) -> None:
    errors: list[BaseException] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        try:
            await reader.readexactly(1)
        except OSError as error:
            errors.append(error)

    async with upstream(bench, answer):
        reader, writer = await bench.connect()
        writer.write(b"!")
        assert await reader.readexactly(1) == b"!"
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        writer.transport.abort()

        async def has_come() -> bool:
            return bool(errors)

        await until(has_come)
        assert isinstance(errors[0], ConnectionResetError)
        assert not bench.relay.open


@pytest.mark.parametrize("is_source_upstream", [True, False], ids=["down", "up"])
async def test_little_waits_for_a_peer_that_does_not_read(bench: Bench, is_source_upstream: bool) -> None:
    writers: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    is_over = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        writers.put_nowait((reader, writer))
        await is_over.wait()

    async with upstream(bench, wait):
        near = await bench.connect()
        near[1].write(b"!")
        assert await near[0].readexactly(1) == b"!"
        far = await writers.get()
        source, sink = (far, near) if is_source_upstream else (near, far)
        sending = asyncio.create_task(send_blocks(source[1]))
        (connection,) = bench.relay.open
        pipe = connection.down if is_source_upstream else connection.up
        assert pipe.source
        assert pipe.sink

        async def is_held() -> bool:
            return not pipe.is_free and pipe.source is not None and not pipe.source.is_reading()

        await until(is_held)
        assert not sending.done()
        assert 0 < pipe.sink.get_write_buffer_size() <= 2 * BUFFER_SIZE
        received = sink[0]
        for number in range(COUNT):
            assert await received.readexactly(len(build_block(0))) == build_block(number)
        await sending
        assert await received.read() == b""
        is_over.set()
        near[1].close()


async def send_blocks(writer: asyncio.StreamWriter) -> None:
    """More than the kernel holds for both sockets."""
    for number in range(COUNT):
        writer.write(build_block(number))
        await writer.drain()
    writer.write_eof()


async def test_end_of_one_direction_leaves_the_other_open(bench: Bench) -> None:
    async def answer_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        data = await reader.read()
        writer.write(data * 2)
        writer.write_eof()

    async with upstream(bench, answer_after_the_end):
        reader, writer = await bench.connect()
        writer.write(b"!")
        assert await reader.readexactly(1) == b"!"
        assert is_direct(bench)
        writer.write(b"after")
        writer.write_eof()
        assert await reader.read() == b"afterafter"
        writer.close()


async def test_connection_that_is_closed_or_reset_by_the_proxy_leaves_the_selector(bench: Bench) -> None:
    selector = find_forwarding()
    assert selector
    before = set(selector.get_map())
    faults: dict[str, dict[str, Any]] = {"f1": {"reset": True}, "f2": {"cut_after": 0, "direction": "both"}}
    for name, fault in faults.items():
        reader, writer = await bench.connect()
        writer.write(b"!")
        assert await reader.readexactly(1) == b"!"
        assert is_direct(bench)
        bench.inject(name, **fault)
        writer.write(b"!")
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        bench.proxy.faults.remove(name)
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()

    async def has_left() -> bool:
        return set(selector.get_map()) <= before and not selector.is_forwarding

    await until(has_left)
