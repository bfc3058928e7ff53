"""Sessions that are ended, and connections that are used up, on a real PostgreSQL server."""

from typing import Any

import psycopg
import pytest

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone
from scenarios.ports import Connection, FaultCall, Intent
from tests.unit.scenarios.drivers.conftest import Platform
from tests.unit.scenarios.drivers.postgresql.conftest import LOCK, LONG, build_fault

pytestmark = pytest.mark.postgresql


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


async def test_connections_that_were_opened_before_one_fails_were_sent(url: str) -> None:
    class Closing(Platform):
        """Its gate lets only the first connection through."""

        intent, secret_arguments, admitted = Intent.ACT, frozenset[str](), 0

        async def admit(self, connection: Connection, *, reads: bool = False, was_sent: bool = False) -> None:
            self.admitted += 1
            if self.admitted > 1:
                raise StepImpossible("the gate is closed")

    fault = build_fault(url, {"exhaust": {"leave": 2}}, "f-1")
    target = await fault.driver.choose_target(fault.arguments, fault.platform)
    call = FaultCall("f-1", LONG, target)
    with pytest.raises(StepFailed, match="the gate is closed") as failure:
        await fault.driver.inject(fault.arguments, Closing(fault.platform.address), call)
    assert not isinstance(failure.value, StepNotDone)
