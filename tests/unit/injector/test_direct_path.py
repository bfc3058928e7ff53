"""Data that no fault concerns goes straight to the other side; a fault that comes later is not missed."""

import asyncio
import socket
import struct

from tests.unit.injector.conftest import Bench, until, upstream


def find_direct(bench: Bench) -> list[bool]:
    (connection,) = bench.relay.open
    return [side.data_received != side.look_at_data for side in (connection.client, connection.upstream)]


async def test_direct_path_is_left_with_the_first_fault_and_taken_again_after_the_last(bench: Bench) -> None:
    reader, writer = await bench.connect()

    async def exchange(data: bytes) -> list[bool]:
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        return find_direct(bench)

    await exchange(b"one")  # may come before the upstream is there, and wait
    assert await exchange(b"two") == [True, True]
    bench.inject("f1", slow_close=1, direction="both")
    bench.inject("f2", latency=0.01, direction="both")
    assert find_direct(bench) == [False, False]
    assert await exchange(b"three") == [False, False]
    bench.proxy.faults.remove("f2")
    assert await exchange(b"four") == [False, False]
    bench.proxy.faults.remove("f1")
    assert await exchange(b"five") == [True, True]
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
