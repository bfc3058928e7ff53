"""Pauses of a real Redis server, which it ends by itself."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_client

from scenarios.domain.errors import FaultGone, StepFailed, StepNotDone
from scenarios.ports import FaultCall
from tests.servers.loopback import wait_for
from tests.servers.redis_server import Redis as Server
from tests.servers.redis_server import redis_server
from tests.unit.scenarios.drivers.conftest import Serve
from tests.unit.scenarios.drivers.redis.conftest import ALL, LONG, WRITES, build_fault, client

pytestmark = pytest.mark.redis


async def until(condition: Callable[[], bool], *, what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what=what)


async def test_old_server_cannot_be_paused(serve: Serve) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal = b"-ERR Unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"
        while request := await reader.read(1000):
            known = {b"PING": b"+PONG\r\n", b"PFCOUNT": b":0\r\n", b"SETNAME": b"+OK\r\n", b"PAUSE": refusal}
            writer.write(next(answer for word, answer in known.items() if word in request))

    for words in (WRITES, ALL):
        with pytest.raises(StepNotDone, match=r"is too old: .* needs Redis 6\.2"):
            await build_fault((await serve(respond)).replace("http", "redis"), words).inject()


async def test_pause_lasts_for_what_is_left_of_its_lease_when_it_is_sent(serve: Serve) -> None:
    """As after a process that was stopped for a while between the beginning of the lease and the pause."""
    looks, sent = itertools.count(), list[int]()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(1000):
            words = request.split(b"\r\n")
            if b"PFCOUNT" in words:
                await asyncio.sleep(0.5 if next(looks) == 0 else 1000)  # paused from the second look on
            if b"PAUSE" in words:
                sent.append(int(words[words.index(b"PAUSE") + 2]))
            writer.write(b":0\r\n" if b"PFCOUNT" in words else b"+OK\r\n")

    fault = build_fault((await serve(respond)).replace("http", "redis"), WRITES, lease=LONG)
    await fault.inject()
    await fault.renew()
    assert await fault.remove() is True
    first, second = sent
    assert first <= (LONG - 0.5) * 1000
    assert second <= (LONG - 1.0) * 1000


async def test_writes_are_paused_until_the_fault_is_removed(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    assert await fault.is_present()
    await fault.inject()  # again: nothing more
    await fault.renew()
    with client(server.url) as own:
        assert own.get("stock") == b"7"
        write = asyncio.create_task(asyncio.to_thread(own.set, "stock", 7))
        await asyncio.sleep(0.1)
        assert not write.done()
        assert await fault.remove() is True
        assert await write
    assert not await fault.is_present()
    assert await fault.remove() is False  # and an unknown fault is no failure


async def test_documented_permissions_are_enough(inject: Any) -> None:
    fault = await inject({**WRITES, "user": "pauser", "password": "less"})
    await fault.renew()
    assert await fault.remove() is True


async def test_everything_is_paused_until_the_fault_is_removed(inject: Any, server: Server) -> None:
    fault = await inject(ALL)
    assert await fault.is_present()
    with client(server.url) as own:
        reads = [asyncio.create_task(asyncio.to_thread(own.get, "stock"))]
        begun = fault.driver._held["f-1"].row.begun
        # No other command gets its turn between two pauses of the row.
        await until(lambda: fault.driver._held["f-1"].row.begun > begun + 1, what="two more have begun")
        assert not any(read.done() for read in reads)
        await fault.renew()
        assert await fault.remove() is True
        assert await asyncio.gather(*reads) == [b"7"]
    assert not await fault.is_present()


async def test_row_of_pauses_never_outlasts_the_lease(inject: Any) -> None:
    fault = await inject(ALL, lease=15.0)
    row = fault.driver._held["f-1"].row
    await fault.renew()
    assert 10 < (row.sent - row.begun + 1) * row.slice_seconds <= 15


@pytest.mark.parametrize("words", [WRITES, ALL])
async def test_server_ends_a_pause_that_is_not_renewed(
    inject: Any, server: Server, words: dict[str, Any]
) -> None:
    fault = await inject(words, lease=2.0)
    with client(server.url) as own:
        assert await asyncio.to_thread(own.set, "stock", 7)  # waits for the end of the pause
    with pytest.raises(FaultGone, match="is not paused any more"):
        await fault.renew()


async def test_another_process_removes_the_pause_of_a_dead_one(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    await fault.driver._held["f-1"].connection.disconnect()
    other = build_fault("redis://127.0.0.1:1", WRITES)
    other.call = fault.call
    assert await other.is_present()
    assert await other.remove() is True
    assert not await fault.is_present()
    with pytest.raises(FaultGone, match="is not paused any more"):
        await fault.renew()


async def test_pause_outlasts_its_connection_and_is_renewed_by_a_new_one(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    with client(server.url) as own:
        names = [entry["id"] for entry in own.client_list() if entry["name"] == "test-coordinator:f-1"]
        assert own.client_kill_filter(_id=names[0]) == 1
    await fault.renew()
    assert await fault.is_present()
    with client(server.url) as own:
        assert [entry["name"] for entry in own.client_list()].count("test-coordinator:f-1") == 1


@pytest.mark.parametrize("words", [WRITES, ALL])
async def test_process_that_was_stopped_for_a_lease_no_longer_pauses(
    inject: Any, words: dict[str, Any]
) -> None:
    fault = await inject(words)
    target = fault.call.target
    fault.call = FaultCall("f-1", 0.5, target)
    await fault.renew()
    time.sleep(0.6)  # noqa: ASYNC251 - nothing of the process goes on meanwhile
    fault.call = FaultCall("f-1", 2 * LONG, target)
    with pytest.raises(FaultGone, match="the lease of the pause is over"):
        await fault.renew()


async def test_clients_that_do_nothing_hold_no_pause(inject: Any, server: Server) -> None:
    fault = await inject(WRITES)
    other = build_fault(server.url, WRITES, lease=0.5)
    other.call = FaultCall("f-1", 0.5, fault.call.target)
    with redis_client.Redis.from_url(server.url, client_name="test-coordinator:stale") as stale:
        stale.ping()
        assert await fault.remove() is True  # its own pause, in any case
        await fault.inject()
        with client(server.url) as own:
            await until(lambda: find_idle(own, "stale") >= 1, what="the client has done nothing for a second")
        assert await other.is_present()
        assert await other.remove() is True


def find_idle(own: redis_client.Redis, name: str) -> int:
    return next(
        int(entry["idle"]) for entry in own.client_list() if entry["name"] == f"test-coordinator:{name}"
    )


async def test_second_pause_is_refused_and_its_removal_leaves_the_first(inject: Any, server: Server) -> None:
    first = await inject(WRITES)
    with pytest.raises(StepNotDone, match="is paused already, and a server has only one pause"):
        await inject({**ALL, "timeout": "1s"}, "f-2")
    second = build_fault(server.url, WRITES, "f-2")
    assert await second.remove() is False
    assert not await second.is_present()
    assert await first.is_present()


async def renew_until_gone(fault: Any) -> None:
    """The first renewal may be sent before the end of the connection is noticed."""
    while True:
        await fault.renew()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("words", [WRITES, ALL])
async def test_restarted_server_is_not_paused(tmp_path: Any, words: dict[str, Any]) -> None:
    with redis_server(tmp_path) as own:
        fault = build_fault(own.url, words)
        await fault.inject()
        os.kill(own.pid, signal.SIGKILL)
        own.stop()
        with pytest.raises(StepFailed):
            await fault.is_present()
        own.start()
        with pytest.raises(FaultGone):
            await renew_until_gone(fault)
        await fault.remove()
        assert not await fault.is_present()


HOLDER = """
import asyncio, sys
import redis.asyncio  # before the lease begins
from scenarios.drivers.redis import Redis, RedisFaultArguments
from scenarios.ports import FaultCall

async def hold(url, mode):
    arguments = RedisFaultArguments.model_validate({"url": url, "pause": mode, "timeout": "120s"})
    call, driver = FaultCall("held", 2.0, {"url": url}), Redis()
    await driver.inject(arguments, None, call)
    print("injected", flush=True)
    while True:
        await asyncio.sleep(0.5)
        await driver.renew(arguments, None, call)

asyncio.run(hold(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("mode", "way"), [("writes", signal.SIGKILL), ("all", signal.SIGSTOP)])
def test_pause_outlives_neither_the_death_nor_the_silence_of_its_process(
    server: Server, mode: str, way: signal.Signals
) -> None:
    words = [sys.executable, "-c", HOLDER, server.url, mode]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "injected\n"
        os.kill(process.pid, way)
        with client(server.url) as own:
            assert own.set("stock", 7)  # waits for the end of the pause
        process.kill()
