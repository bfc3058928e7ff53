"""A database of a PostgreSQL server, and faults of it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from scenarios.drivers.postgresql import Postgresql, PostgresqlFaultArguments
from scenarios.ports import FaultCall
from tests.servers.loopback import MAX_WAIT
from tests.servers.postgresql import PostgreSQL
from tests.unit.scenarios.drivers.conftest import Platform
from tests.unit.scenarios.drivers.one_fault import OneFault, injecting

LONG = 600.0
LOCK = {"lock": {"table": "orders"}}
# Where nothing listens.
ELSEWHERE = "postgres://127.0.0.1:1"


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


def build_fault(url: str, words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> OneFault:
    given = {"service": "exchange", "user": "coordinator", "timeout": "120s", **words}
    arguments = PostgresqlFaultArguments.model_validate(given)
    return OneFault(
        Postgresql(), arguments, Platform(url.replace("coordinator@", "")), FaultCall(name, lease)
    )


@pytest.fixture
async def inject(url: str) -> AsyncIterator[Any]:
    """Injects faults, which end with the test."""

    def build(words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> OneFault:
        return build_fault(url, words, name, lease)

    async with injecting(build) as begin:
        yield begin


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
