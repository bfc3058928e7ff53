"""What a client sees of each fault, over real connections."""

import asyncio
import resource
import socket
import struct
import sys
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from injector.connections import Upstream
from injector.http_faults import is_chosen
from injector.pipes import MAX_WAITING_BYTES
from injector.proxy import find_max_connections
from tests.unit.injector.conftest import Bench, echo, until, upstream

CHUNKS = st.lists(st.binary(min_size=1, max_size=200_000), min_size=1, max_size=8)


async def exchange(bench: Bench, data: bytes) -> bytes:
    """What comes back of the data from its begin to the end of the connection."""
    reader, writer = await bench.connect()
    writer.write(data)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


@given(chunks=CHUNKS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_without_a_fault_every_byte_arrives_in_its_order(bench: Bench, chunks: list[bytes]) -> None:
    reader, writer = await bench.connect()

    async def send() -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()

    _, received = await asyncio.gather(send(), reader.read())
    writer.close()
    assert received == b"".join(chunks)


@given(chunks=CHUNKS)
@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_late_data_keeps_its_order_and_the_end_comes_last(bench: Bench, chunks: list[bytes]) -> None:
    bench.inject(latency=0.03, jitter=0.03, direction="both")
    data = b"".join(chunks)
    assert await exchange(bench, data) == data


FAULTS = st.fixed_dictionaries(
    {"latency": st.sampled_from([0.0, 0.005, 0.02])},
    optional={
        "jitter": st.just(0.004),
        "bandwidth": st.sampled_from([200_000, 20_000_000]),
        "slow_close": st.just(0.01),
        "direction": st.sampled_from(["up", "down", "both"]),
        "share": st.just(0.5),
    },
)
CHANGES = st.lists(st.one_of(st.none(), FAULTS), max_size=4)
SMALL_CHUNKS = st.lists(st.binary(min_size=1, max_size=20_000), min_size=1, max_size=6)


@given(chunks=SMALL_CHUNKS, changes=CHANGES, is_half_closed=st.booleans())
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_faults_that_come_and_go_neither_lose_nor_reorder_a_byte(
    bench: Bench, chunks: list[bytes], changes: list[dict[str, Any] | None], is_half_closed: bool
) -> None:
    reader, writer = await bench.connect()

    async def send() -> None:
        for number, chunk in enumerate(chunks):
            writer.write(chunk)
            await asyncio.sleep(0.002)
            change = changes[number] if number < len(changes) else None
            if change is None or change["latency"] < change.get("jitter", 0):
                bench.proxy.faults.close()
            else:
                bench.inject(f"f{number}", **{"slow_close": 0.001, **change})
        if is_half_closed:
            writer.write_eof()

    sent = b"".join(chunks)
    _, received = await asyncio.gather(
        send(), reader.read() if is_half_closed else reader.readexactly(len(sent))
    )
    assert received == sent
    writer.close()
    bench.proxy.faults.close()


async def test_late_data_is_not_made_later_by_other_faults(bench: Bench) -> None:
    bench.inject(latency=2)
    reader, writer = await bench.connect()
    writer.write(b"hello")
    received = asyncio.create_task(reader.readexactly(5))
    async with asyncio.timeout(120):
        while not received.done():
            bench.inject(f"other-{time.monotonic()}", slow_close=1)
            await asyncio.sleep(0.05)
    assert await received == b"hello"
    writer.close()


async def test_data_that_comes_before_the_upstream_is_there_is_late_too(bench: Bench) -> None:
    bench.inject(latency=0.4, direction="both")
    started = time.monotonic()
    assert await exchange(bench, b"at once") == b"at once"
    assert time.monotonic() - started >= 0.8


async def test_latency_ends_with_its_fault(bench: Bench) -> None:
    bench.inject(latency=30)
    reader, writer = await bench.connect()
    writer.write(b"hello")
    await asyncio.sleep(0.2)
    bench.proxy.faults.remove("f1")
    assert await reader.read(5) == b"hello"
    writer.close()


async def test_a_hang_holds_everything_back_until_it_ends(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(b"before")
    assert await reader.readexactly(6) == b"before"
    bench.inject(hang=True)
    writer.write(b"meanwhile")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    bench.proxy.faults.remove("f1")
    assert await reader.readexactly(9) == b"meanwhile"
    writer.close()


async def test_new_connections_are_refused_and_established_ones_go_on(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(b"one")
    assert await reader.readexactly(3) == b"one"
    bench.inject(refuse=True)
    with pytest.raises(ConnectionRefusedError):
        await bench.connect()
    writer.write(b"two")
    assert await reader.readexactly(3) == b"two"
    writer.close()
    bench.proxy.faults.remove("f1")
    await until(lambda: accepts(bench))
    assert await exchange(bench, b"three") == b"three"


async def test_port_that_was_taken_during_a_refusal_is_waited_for(bench: Bench) -> None:
    bench.inject(refuse=True)
    assert (await bench.ask("GET", "/listeners")).content[bench.listener]["listening"] is False
    other = await asyncio.start_server(echo, *bench.relay.address)
    bench.proxy.faults.remove("f1")

    async def is_known() -> bool:
        found = (await bench.ask("GET", "/listeners")).content[bench.listener]
        return "still trying: " in found.get("problem", "")

    await until(is_known)
    metrics = (await bench.ask("GET", "/metrics")).content
    assert f'fault_proxy_listening{{listener="{bench.listener}"}} 0.0' in metrics
    other.close()

    async def listens() -> bool:
        return (await bench.ask("GET", "/listeners")).content[bench.listener]["listening"] is True

    await until(listens)
    assert await exchange(bench, b"hello") == b"hello"
    assert "problem" not in (await bench.ask("GET", "/listeners")).content[bench.listener]


async def accepts(bench: Bench) -> bool:
    try:
        _, writer = await bench.connect()
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_established_connections_are_reset(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(b"hello")
    await reader.readexactly(5)
    bench.inject(reset=True)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("fault", ["cut_after", "reset_after"])
async def test_a_connection_ends_after_so_many_bytes(bench: Bench, fault: str) -> None:
    kinds: dict[str, Any] = {fault: 1000}
    bench.inject(**kinds)
    reader, writer = await bench.connect()
    writer.write(b"x" * 5000)
    received = b""
    try:
        while data := await reader.read(4096):
            received += data
        ended = "cut_after"
    except ConnectionResetError:
        ended = "reset_after"
    assert ended == fault
    assert len(received) == 1000 or fault == "reset_after"  # a reset may overtake what came before it
    writer.close()


async def test_limited_data_trickles(bench: Bench) -> None:
    bench.inject(bandwidth=20_000)
    started = time.monotonic()
    assert len(await exchange(bench, b"x" * 20_000)) == 20_000
    assert time.monotonic() - started >= 0.9


async def test_the_end_alone_can_be_late(bench: Bench) -> None:
    bench.inject(slow_close=0.5)
    reader, writer = await bench.connect()
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    started = time.monotonic()
    writer.write_eof()
    assert await reader.read() == b""
    assert time.monotonic() - started >= 0.49  # the clock of the loop is read once for each of its rounds
    writer.close()


async def test_a_share_of_the_bytes_has_one_bit_flipped(bench: Bench) -> None:
    bench.inject(corrupt=0.1)
    sent = bytes(100_000)
    received = await exchange(bench, sent)
    assert len(received) == len(sent)
    flipped = [byte for byte in received if byte]
    assert 8_000 < len(flipped) < 12_000
    assert all(byte.bit_count() == 1 for byte in flipped)


def test_a_seed_chooses_the_same_share_of_connections_each_time() -> None:
    chosen = [is_chosen(0.2, 7, number) for number in range(1000)]
    assert chosen == [is_chosen(0.2, 7, number) for number in range(1000)]
    assert 150 < sum(chosen) < 250
    assert chosen != [is_chosen(0.2, 8, number) for number in range(1000)]


async def test_connections_leave_nothing_behind(bench: Bench) -> None:
    for _ in range(20):
        await exchange(bench, b"hello")

    async def all_have_ended() -> bool:
        return not bench.relay.open

    await until(all_have_ended)
    assert bench.relay.bytes_passed == (100, 100)


async def test_a_client_of_an_upstream_that_is_away_is_reset(bench: Bench) -> None:
    bench.relay.upstream = Upstream("127.0.0.1", 1)
    with pytest.raises(ConnectionResetError):
        await exchange(bench, b"hello")
    assert bench.relay.counts.failed == 1


async def test_a_client_that_resets_its_connection_before_its_late_end_harms_nobody(bench: Bench) -> None:
    bench.inject(slow_close=60)
    reader, writer = await bench.connect()
    writer.write(b"data")
    writer.write_eof()
    assert await reader.readexactly(4) == b"data"

    async def has_ended() -> bool:
        # From then on the proxy reads nothing from the client, and does not notice the reset.
        return any(connection.up.is_done for connection in bench.relay.open)

    await until(has_ended)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await asyncio.sleep(0.1)
    assert await bench.ask("DELETE", "/faults/f1") == (204, "")
    assert await exchange(bench, b"next") == b"next"


async def test_slow_data_of_many_connections_takes_little_memory_and_time(bench: Bench) -> None:
    """At one byte per second, which was once planned byte by byte."""
    size = 2 * MAX_WAITING_BYTES

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(size))
        await writer.drain()

    async def are_waiting() -> bool:
        return bench.relay.counts.connections == 20 and all(
            connection.down.waiting_bytes > MAX_WAITING_BYTES / 2 for connection in bench.relay.open
        )

    bench.inject(bandwidth=1)
    tracemalloc.start()
    try:
        async with upstream(bench, flood):
            opened = [await bench.connect() for _ in range(20)]
            await until(are_waiting)
            assert tracemalloc.get_traced_memory()[1] < 20 * 4 * size
            assert (await bench.ask("DELETE", "/faults/f1")).status == 204
            for reader, writer in opened:
                assert len(await reader.read()) == size
                writer.close()
    finally:
        tracemalloc.stop()


async def test_more_connections_than_the_files_allow_are_reset_and_faults_still_end(bench: Bench) -> None:
    bench.proxy.max_connections = 3
    bench.inject(latency=60)
    opened = [await bench.connect() for _ in range(3)]
    for _ in range(2):
        reader, _writer = await bench.connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert (await bench.ask("DELETE", "/faults/f1")).status == 204
    text = (await bench.ask("GET", "/metrics")).content
    assert f'connections_turned_away_total{{listener="{bench.listener}"}} 2.0' in text
    for _reader, writer in opened:
        writer.close()

    async def has_room() -> bool:
        return not bench.relay.open

    await until(has_room)
    assert await exchange(bench, b"x") == b"x"


def test_the_control_api_keeps_files_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((128, 32), (1024, 380), (resource.RLIM_INFINITY, sys.maxsize)):
        monkeypatch.setattr(resource, "getrlimit", lambda _kind, files=files: (files, files))
        assert find_max_connections() == most
