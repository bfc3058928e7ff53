"""Locks of tables, which a real PostgreSQL server ends by itself."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from scenarios.domain.errors import FaultGone, StepFailed, StepNotDone
from scenarios.ports import FaultCall
from tests.servers.loopback import wait_for
from tests.unit.scenarios.drivers.postgresql.conftest import (
    ELSEWHERE,
    LOCK,
    LONG,
    build_fault,
    is_locked,
    until,
)

pytestmark = pytest.mark.postgresql


async def test_table_is_locked_until_the_fault_is_removed(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    assert is_locked(url)
    assert await fault.is_present()
    await fault.renew()
    assert await fault.remove() is True
    assert not is_locked(url)
    assert not await fault.is_present()
    assert await fault.remove() is False  # and an unknown fault is no failure


async def test_target_names_the_table_and_its_server(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    assert fault.call.target["label"].startswith("table 'orders' in 'coordinator_")
    assert "host" not in fault.call.target


async def test_injecting_twice_is_injecting_once(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    await fault.inject()
    await fault.remove()
    assert not is_locked(url)


async def test_another_process_removes_the_fault(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    other = fault.elsewhere(ELSEWHERE)
    assert await other.is_present()
    with pytest.raises(FaultGone, match="no session of this process"):
        await other.renew()
    assert await other.remove() is True
    assert not is_locked(url)
    with pytest.raises(FaultGone, match="a session that held the fault has ended"):
        await fault.renew()
    assert await fault.remove() is True  # its connection was still held here


async def test_server_ends_a_lock_that_is_not_renewed(inject: Any, url: str) -> None:
    fault = await inject(LOCK, lease=1.0)
    await asyncio.to_thread(wait_for, lambda: not is_locked(url), what="the server has ended the lock")
    assert not await fault.is_present()
    with pytest.raises(FaultGone, match=r"idle-in-transaction timeout|closed the connection"):
        await fault.renew()


async def test_lock_that_had_to_wait_ends_within_its_lease(url: str) -> None:
    late = build_fault(url, {"lock": {"table": "orders", "wait": "300s"}}, "late", lease=5.0)
    with (
        psycopg.connect(url) as holder,
        psycopg.connect(url, autocommit=True) as other,
        psycopg.connect(url) as clock,
    ):
        holder.execute("SELECT FROM orders")
        waiting = asyncio.create_task(late.inject())

        async def is_waiting() -> bool:
            return bool(other.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())

        await until(is_waiting, what="it waits for the lock")
        # From here on, nothing of this process's event loop goes on, as if it had been stopped.
        clock.execute("SET idle_in_transaction_session_timeout = '4.2s'")
        holder.rollback()
        other.execute("SELECT FROM orders")  # waits for the end of the lock
        clock.execute("SELECT 1")
    with pytest.raises(StepFailed):
        await waiting


async def test_renewal_begins_the_lease_again(inject: Any, url: str) -> None:
    fault = await inject(LOCK, lease=LONG)
    (connection,) = fault.driver._sessions._held["f-1"].connections
    shown = await (await connection.execute("SHOW idle_in_transaction_session_timeout")).fetchone()
    assert shown == ("10min",)
    fault.call = FaultCall("f-1", 77.0, fault.call.target)
    await fault.renew()
    shown = await (await connection.execute("SHOW idle_in_transaction_session_timeout")).fetchone()
    assert shown == ("77s",)


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP])
def test_lock_outlives_neither_the_death_nor_the_silence_of_its_process(
    url: str, way: signal.Signals
) -> None:
    with holding_process(url) as process:
        wait_for(lambda: is_locked(url), what="the table is locked")
        os.kill(process.pid, way)
        wait_for(lambda: not is_locked(url), what="the server has ended the lock")


HOLDER = """
import asyncio, sys
from scenarios.drivers.postgresql import Postgresql, PostgresqlFaultArguments
from scenarios.ports import FaultCall

async def hold(url):
    words = {"url": url, "user": "coordinator", "lock": {"table": "orders"}}
    arguments, call = PostgresqlFaultArguments.model_validate(words), FaultCall("held", 2.0, {"url": url})
    driver = Postgresql()
    await driver.inject(arguments, None, call)
    while True:
        await asyncio.sleep(0.2)
        await driver.renew(arguments, None, call)

asyncio.run(hold(sys.argv[1]))
"""


class holding_process:  # noqa: N801 - a context manager, as in contextlib
    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, self.url.replace("coordinator@", "")])
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(300)


async def test_weaker_lock_leaves_readers_alone(inject: Any, url: str) -> None:
    await inject({"lock": {"table": "public.orders", "mode": "share"}})
    assert not is_locked(url)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.LockNotAvailable):
        connection.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE NOWAIT")


async def test_second_lock_of_a_table_names_who_uses_it(inject: Any, url: str) -> None:
    first = await inject(LOCK)
    pid = (await first.inject())["pid"]
    with pytest.raises(
        StepNotDone, match=f"did not lock 'orders' within 50ms: processes {pid} of the server"
    ):
        await inject({"lock": {"table": "orders", "wait": "50ms"}}, "f-2")
    assert await first.is_present()


async def test_two_faults_on_one_server_end_one_by_one(inject: Any, url: str) -> None:
    first, second = await inject(LOCK, "a"), await inject({"lock": {"table": "secrets"}}, "b")
    await first.remove()
    assert (is_locked(url), is_locked(url, "secrets")) == (False, True)
    assert await second.is_present()


async def test_fault_that_was_cut_off_while_it_waited_holds_nothing(inject: Any, url: str) -> None:
    first = await inject(LOCK)
    second = build_fault(url, {"lock": {"table": "orders", "wait": "300s"}}, "late")
    waiting = asyncio.create_task(second.inject())
    second.call = FaultCall("late", LONG, {"url": second.platform.address})
    await until(second.elsewhere(ELSEWHERE).is_present, what="it waits for the lock")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await second.remove() in {True, False}
    await first.remove()
    assert not is_locked(url)
