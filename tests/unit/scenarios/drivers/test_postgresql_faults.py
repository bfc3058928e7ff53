"""The faults of the postgresql driver, against a real server, which ends them by itself."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.drivers.postgresql import Postgresql, PostgresqlFaultArguments
from scenarios.ports import Connection, FaultCall, Intent
from tests.servers.loopback import MAX_WAIT, wait_for
from tests.servers.postgresql import PostgreSQL, postgresql, programs

from .conftest import Platform

pytestmark = pytest.mark.postgresql
LONG = 600.0
LOCK = {"lock": {"table": "orders"}}


@pytest.fixture(scope="module")
def url(postgresql_server: PostgreSQL) -> Iterator[str]:
    found = postgresql_server.new_database()
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int)")
        connection.execute("CREATE TABLE secrets (id int)")
        connection.execute("CREATE ROLE shop LOGIN")
        connection.execute("GRANT SELECT ON orders TO shop")
    yield found
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("DROP OWNED BY shop")
        connection.execute("DROP ROLE shop")


class Fault:
    """One fault, in a process of its own or in this one."""

    def __init__(self, url: str, words: dict[str, Any], name: str, lease: float = LONG) -> None:
        self.driver = Postgresql()
        self.platform = Platform(url.replace("coordinator@", ""))
        given = {"service": "exchange", "user": "coordinator", "timeout": "120s", **words}
        self.arguments = PostgresqlFaultArguments.model_validate(given)
        self.call = FaultCall(name, lease)

    async def inject(self) -> dict[str, Any]:
        target = await self.driver.choose_target(self.arguments, self.platform)
        self.call = FaultCall(self.call.id, self.call.lease, target)
        return dict(await self.driver.inject(self.arguments, self.platform, self.call))

    async def renew(self) -> None:
        await self.driver.renew(self.arguments, self.platform, self.call)

    async def remove(self) -> bool:
        return await self.driver.remove(self.arguments, self.platform, self.call)

    async def is_present(self) -> bool:
        return await self.driver.is_present(self.arguments, self.platform, self.call)

    def elsewhere(self) -> "Fault":
        """The same fault, for a process that has not injected it, after the service has moved."""
        other = object.__new__(Fault)
        other.driver, other.platform = Postgresql(), Platform("postgres://127.0.0.1:1")
        other.arguments, other.call = self.arguments, self.call
        return other


@pytest.fixture
async def inject(url: str) -> AsyncIterator[Any]:
    """Injects faults, which end with the test."""
    faults: list[Fault] = []

    async def begin(words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> Fault:
        fault = Fault(url, words, name, lease)
        faults.append(fault)
        await fault.inject()
        return fault

    yield begin
    for fault in faults:
        await fault.remove()


async def until(look: Callable[[], Awaitable[bool]], *, what: str, is_so: bool = True) -> None:
    async with asyncio.timeout(MAX_WAIT):
        for _ in itertools.count():
            if await look() is is_so:
                return
            await asyncio.sleep(0.02)
    raise AssertionError(what)


def is_locked(url: str, table: str = "orders") -> bool:
    with psycopg.connect(url) as connection:
        try:
            connection.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE NOWAIT")
        except psycopg.errors.LockNotAvailable:
            return True
    return False


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


async def test_server_that_cannot_be_reached_is_no_target(closed_port: int) -> None:
    with pytest.raises(StepFailed, match=r"exchange at postgres://.* refused the connection"):
        await Fault(f"postgres://127.0.0.1:{closed_port}", LOCK, "f-1").inject()


async def test_injecting_twice_is_injecting_once(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    await fault.inject()
    await fault.remove()
    assert not is_locked(url)


async def test_another_process_removes_the_fault(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    other = fault.elsewhere()
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
    late = Fault(url, {"lock": {"table": "orders", "wait": "300s"}}, "late", lease=5.0)
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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"lock": {"table": "nothing"}}, "has no table 'nothing': name its schema"),
        ({"lock": {"table": "nowhere.orders"}}, "has no table 'nowhere.orders'"),
        ({"lock": {"table": 'orders"; DROP TABLE orders; --'}}, "has no table"),
        (
            {"lock": {"table": "secrets"}, "user": "shop"},
            "permission denied.*needs UPDATE, DELETE or TRUNCATE",
        ),
        ({"terminate": {"database": "empty"}}, "has no session in database 'empty' to end"),
        ({"terminate": {"application": "shop"}}, "has no session of application 'shop'"),
        ({"exhaust": {"leave": 5000}}, "connections left: lower 'leave'"),
    ],
)
async def test_fault_that_cannot_be_injected_leaves_nothing(
    inject: Any, url: str, words: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StepNotDone, match=sentence):
        await inject(words)
    fault = Fault(url, words, "f-1")
    fault.call = FaultCall("f-1", LONG, {"url": fault.platform.address})
    await until(fault.is_present, is_so=False, what="the server has noticed that its client has gone")


async def test_fault_that_was_cut_off_while_it_waited_holds_nothing(inject: Any, url: str) -> None:
    first = await inject(LOCK)
    second = Fault(url, {"lock": {"table": "orders", "wait": "300s"}}, "late")
    waiting = asyncio.create_task(second.inject())
    second.call = FaultCall("late", LONG, {"url": second.platform.address})
    await until(second.elsewhere().is_present, what="it waits for the lock")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await second.remove() in {True, False}
    await first.remove()
    assert not is_locked(url)


async def test_share_of_sessions_is_ended_once(inject: Any, url: str) -> None:
    connections = [psycopg.connect(url, application_name="shop", autocommit=True) for _ in range(4)]
    holder = await inject(LOCK, "holder")
    fault = await inject({"terminate": {"share": 0.5, "application": "shop", "seed": 1}})
    assert await fault.inject() == {"database": url.rpartition("/")[2], "ended": 2, "sessions": 4}
    assert sum(map(has_ended, connections)) == 2
    await fault.renew()
    assert not await fault.is_present()
    assert await fault.remove() is False
    await inject({"terminate": {"share": 1.0}}, "f-2")
    assert all(map(has_ended, connections))
    assert await holder.is_present()  # the coordinator's own faults are left alone
    for connection in connections:
        connection.close()


def has_ended(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


async def test_sessions_of_others_need_a_permission(inject: Any, url: str) -> None:
    with (
        psycopg.connect(url, application_name="shop"),
        pytest.raises(StepNotDone, match=r"ended 0 of 1 sessions and refused: .*grant 'pg_signal_backend'"),
    ):
        await inject({"terminate": {"application": "shop"}, "user": "shop"})


async def test_connections_are_used_up_for_ordinary_users(inject: Any, url: str) -> None:
    fault = await inject({"exhaust": {"leave": 2}})
    report = await fault.inject()
    assert report["left"] == 2
    assert report["opened"] > 10
    await fault.renew()
    ordinary = url.replace("coordinator@", "shop@")
    with psycopg.connect(ordinary), psycopg.connect(ordinary):
        with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
            psycopg.connect(ordinary)
        assert await fault.is_present()
    await fault.remove()
    assert not await fault.is_present()
    psycopg.connect(ordinary).close()


async def test_user_with_a_limit_cannot_use_up_all(inject: Any, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER ROLE shop CONNECTION LIMIT 3")
        with pytest.raises(StepNotDone, match="lets this user open only"):
            await inject({"exhaust": {"leave": 0}, "user": "shop"})
        connection.execute("ALTER ROLE shop CONNECTION LIMIT -1")


async def test_restarted_server_has_no_faults() -> None:
    found = programs()
    assert found is not None
    with postgresql(found) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE orders (id int)")
        faults = [Fault(server.url, LOCK, "a"), Fault(server.url, {"exhaust": {"leave": 40}}, "b")]
        for fault in faults:
            await fault.inject()
        server.stop()
        for fault in faults:
            with pytest.raises(StepFailed, match="refused the connection"):
                await fault.is_present()
        server.start()
        for fault in faults:
            with pytest.raises(FaultGone):
                await fault.renew()
            await fault.remove()
            assert not await fault.is_present()
        assert not is_locked(server.url)


async def test_renewal_waits_for_a_server_that_is_silent_for_a_while(inject: Any, url: str) -> None:
    fault = await inject({**LOCK, "timeout": "300ms"})
    pid = (await fault.inject())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StepFailed, match="did not answer") as silent:
            await fault.renew()
        assert not isinstance(silent.value, FaultGone)
    finally:
        os.kill(pid, signal.SIGCONT)

    async def is_renewed() -> bool:
        try:
            await fault.renew()
        except FaultGone:
            raise
        except StepFailed:
            return False
        return True

    await until(is_renewed, what="the server answers again")


async def test_removal_ends_a_renewal_that_is_under_way(inject: Any, url: str) -> None:
    fault = await inject(LOCK)
    pid = (await fault.inject())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        renewal = asyncio.create_task(fault.renew())
        await asyncio.sleep(0)
        held = fault.driver._sessions._held["f-1"]
        assert held.renewal is not None
        assert await fault.driver._sessions.close(fault.call) is True
        with pytest.raises(FaultGone):
            await renewal
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_connections_that_were_opened_before_one_fails_were_sent(url: str) -> None:
    class Closing(Platform):
        """Its gate lets only the first connection through."""

        intent, secret_arguments, admitted = Intent.ACT, frozenset[str](), 0

        async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
            self.admitted += 1
            if self.admitted > 1:
                raise StepImpossible("the gate is closed")

    fault = Fault(url, {"exhaust": {"leave": 2}}, "f-1")
    target = await fault.driver.choose_target(fault.arguments, fault.platform)
    call = FaultCall("f-1", LONG, target)
    with pytest.raises(StepFailed, match="the gate is closed") as failure:
        await fault.driver.inject(fault.arguments, Closing(fault.platform.address), call)
    assert not isinstance(failure.value, StepNotDone)


async def test_coordinators_own_database_is_refused(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _, name = url.rpartition(":")[2].partition("/")
    own = {"ENGINE": "django.db.backends.postgresql", "HOST": "localhost", "PORT": port, "NAME": name}
    monkeypatch.setitem(settings.DATABASES, "default", own)
    kinds: list[dict[str, Any]] = [LOCK, {"terminate": {}}, {"exhaust": {"leave": 1}}]
    for words in kinds:
        with pytest.raises(StepImpossible, match="the coordinator's own database"):
            await Fault(url, words, "f-1").inject()
    other = Fault(url.rpartition("/")[0] + "/postgres", LOCK, "f-1")
    assert "url" in await other.driver.choose_target(other.arguments, other.platform)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "give one of 'lock', 'terminate', 'exhaust'"),
        ({**LOCK, "exhaust": {"leave": 1}}, "'exhaust' and 'lock' cannot be combined"),
        ({"lock": {"table": "a.b.c"}}, "is not a table"),
        ({"lock": {"table": ".orders"}}, "is not a table"),
        ({"terminate": {"share": 0}}, "0 is not a share: write a number above 0"),
        ({"exhaust": {}}, "Field required"),
    ],
)
def test_fault_that_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        PostgresqlFaultArguments.model_validate({"service": "shop", **words})
