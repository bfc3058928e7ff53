"""What faults of every kind do on a real PostgreSQL server when something fails."""

import asyncio
import os
import signal
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.drivers.postgresql import PostgresqlFaultArguments
from scenarios.ports import FaultCall
from tests.servers.postgresql import postgresql, programs
from tests.unit.scenarios.drivers.postgresql.conftest import (
    LOCK,
    LONG,
    build_fault,
    is_locked,
    until,
)

pytestmark = pytest.mark.postgresql


async def test_server_that_cannot_be_reached_is_no_target(closed_port: int) -> None:
    with pytest.raises(StepFailed, match=r"exchange at postgres://.* refused the connection"):
        await build_fault(f"postgres://127.0.0.1:{closed_port}", LOCK, "f-1").inject()


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
    fault = build_fault(url, words, "f-1")
    fault.call = FaultCall("f-1", LONG, {"url": fault.platform.address})
    await until(fault.is_present, is_so=False, what="the server has noticed that its client has gone")


async def test_restarted_server_has_no_faults() -> None:
    found = programs()
    assert found is not None
    with postgresql(found) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE orders (id int)")
        faults = [
            build_fault(server.url, LOCK, "a"),
            build_fault(server.url, {"exhaust": {"leave": 40}}, "b"),
        ]
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


async def test_coordinators_own_database_is_refused(
    url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _, name = url.rpartition(":")[2].partition("/")
    own = {"ENGINE": "django.db.backends.postgresql", "HOST": "localhost", "PORT": port, "NAME": name}
    monkeypatch.setitem(settings.DATABASES, "default", own)
    kinds: list[dict[str, Any]] = [LOCK, {"terminate": {}}, {"exhaust": {"leave": 1}}]
    for words in kinds:
        with pytest.raises(StepImpossible, match="the coordinator's own database"):
            await build_fault(url, words, "f-1").inject()
    other = build_fault(url.rpartition("/")[0] + "/postgres", LOCK, "f-1")
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
