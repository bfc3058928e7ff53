"""The faults of PostgreSQL: a locked table, ended sessions, used up connections."""

import asyncio
import math
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration, Share
from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepNotDone
from scenarios.drivers.postgresql_connections import (
    Access,
    NoConnectionLeft,
    connect,
    connected,
    run,
    shorten,
)
from scenarios.drivers.postgresql_sessions import APPLICATION, AT_ONCE, begin_lease, renew_sessions
from scenarios.ports import FaultCall

if TYPE_CHECKING:
    from psycopg import AsyncConnection

# A process may have 1,024 open files by default.
MAX_SESSIONS = 500
_MAX_NAME_PARTS = 2
_MODES = {
    "access exclusive": "ACCESS EXCLUSIVE",
    "exclusive": "EXCLUSIVE",
    "share row exclusive": "SHARE ROW EXCLUSIVE",
    "share": "SHARE",
}
_HOLDERS = """SELECT array_agg(DISTINCT pid) FROM pg_locks
WHERE relation = to_regclass(%s) AND granted AND pid <> pg_backend_pid()"""
# The sessions of clients. What kind a session of another user is, only those who may read all statistics see.
_CLIENTS = """FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL
AND coalesce(backend_type, 'client backend') = 'client backend'"""
_SESSIONS = f"""SELECT pid {_CLIENTS} AND pid <> pg_backend_pid() AND datname = %s
AND (%s::text IS NULL OR application_name = %s) AND application_name NOT LIKE %s
ORDER BY backend_start, pid"""
# https://www.postgresql.org/docs/current/runtime-config-connection.html
_FREE = f"""SELECT current_setting('max_connections')::int
- current_setting('superuser_reserved_connections')::int
- coalesce(current_setting('reserved_connections', true), '0')::int
- (SELECT count(*) {_CLIENTS})"""
# Within a transaction, PostgreSQL shows the sessions that there were at the first look.
_LOOK_AGAIN = "SELECT pg_stat_clear_snapshot()"


def _check_table(text: str) -> str:
    parts = text.split(".")
    if not all(parts) or len(parts) > _MAX_NAME_PARTS:
        raise ValueError(f"{text[:80]!r} is not a table: write 'table' or 'schema.table', without quotes")
    return text


class PostgresqlLock(Declaration):
    """The name of the table is as PostgreSQL stores it. `wait` is how long the lock waits for other
    transactions to end, at most half the lease.
    """

    table: Annotated[str, Field(min_length=1, max_length=130), AfterValidator(_check_table)]
    mode: Literal["access exclusive", "exclusive", "share row exclusive", "share"] = "access exclusive"
    wait: PositiveDuration = 5.0


class PostgresqlTerminate(Declaration):
    """Sessions of `database`, by default that of the connection, and only of `application` if it is given."""

    share: Share = 1.0
    database: Annotated[str, Field(min_length=1, max_length=63)] = Field(ABSENT)
    application: Annotated[str, Field(min_length=1, max_length=63)] = Field(ABSENT)
    seed: Annotated[int, Field(ge=0), WHOLE] = Field(ABSENT)


class PostgresqlExhaust(Declaration):
    leave: Annotated[int, Field(ge=0, le=10_000), WHOLE]


KINDS = ("lock", "terminate", "exhaust")


async def lock_table(
    access: Access, lock: PostgresqlLock, fault: FaultCall
) -> tuple[list["AsyncConnection[Any]"], Mapping[str, Any]]:
    """Lock the table in a transaction that the server ends after the lease.

    Raises:
        StepNotDone: there is no such table, it is not free, or the user may not lock it.
    """
    # A session that waits for a lock keeps others waiting too, so both together must not outlast the lease.
    waiting = min(lock.wait, fault.lease / 2)
    started = time.perf_counter()
    connection = await connect(access)
    try:
        work = _lock(connection, lock, fault.lease, waiting)
        try:
            pid = await run(access, connection, work, more_seconds=waiting)
        except StepNotDone as error:
            sentence = await _explain_refusal(access, connection, lock, waiting, error)
            raise StepNotDone(sentence) from error
    except BaseException:
        await connection.close()
        raise
    report = {"table": lock.table, "mode": lock.mode, "pid": pid, "waited": time.perf_counter() - started}
    return [connection], report


async def _lock(
    connection: "AsyncConnection[Any]", lock: PostgresqlLock, lease: float, waiting: float
) -> int:
    from psycopg import sql  # noqa: PLC0415

    # The server counts from the moment when it grants the lock, however long that took.
    pid = await begin_lease(connection, lease - waiting, waiting)
    name = sql.Identifier(*lock.table.split("."))
    await connection.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(name, sql.SQL(_MODES[lock.mode])))
    await renew_sessions([connection], lease)
    return pid


async def _explain_refusal(
    access: Access,
    connection: "AsyncConnection[Any]",
    lock: PostgresqlLock,
    waiting: float,
    error: StepNotDone,
) -> str:
    from psycopg import errors  # noqa: PLC0415

    cause = error.__cause__
    if isinstance(cause, errors.UndefinedTable | errors.InvalidSchemaName):
        hint = "name its schema too, as in 'public.orders', unless it is in the search path"
        return f"{access.name} has no table {lock.table!r}: {hint}"
    if isinstance(cause, errors.LockNotAvailable):
        sentence = f"{access.name} did not lock {lock.table!r} within {format_duration(waiting)}"
        return f"{sentence}: {await _explain_not_free(access, connection, lock)}"
    if isinstance(cause, errors.InsufficientPrivilege):
        return f"{error}: to lock a table, its user needs UPDATE, DELETE or TRUNCATE on it"
    return str(error)


async def _explain_not_free(access: Access, connection: "AsyncConnection[Any]", lock: PostgresqlLock) -> str:
    async def look() -> list[int]:
        from psycopg import sql  # noqa: PLC0415

        await connection.rollback()
        named = sql.Identifier(*lock.table.split(".")).as_string(connection)
        return (await (await connection.execute(_HOLDERS, [named])).fetchall())[0][0] or []

    try:
        pids = await run(access, connection, look())
    except StepFailed:
        pids = []
    return f"processes {', '.join(map(str, pids))} of the server use it" if pids else "others use it"


async def terminate_sessions(
    access: Access, terminate: PostgresqlTerminate, fault: FaultCall
) -> Mapping[str, Any]:
    """End sessions once. Never those that hold faults of a coordinator.

    Raises:
        StepNotDone: there is none, or the user may not end any of them.
        StepFailed: the user may end only some of them; those are ended.
    """
    async with connected(access) as connection:
        await connection.set_autocommit(True)
        database = terminate.database or connection.info.dbname
        words = [database, terminate.application, terminate.application, f"{APPLICATION}%"]
        pids = await run(access, connection, _list_pids(connection, words))
        if not pids:
            whose = f" of application {terminate.application!r}" if terminate.application else ""
            raise StepNotDone(f"{access.name} has no session{whose} in database {database!r} to end")
        chosen = _choose(pids, terminate, fault)
        ended, refusal = await run(access, connection, _end_each(connection, chosen))
    if refusal:
        hint = "grant 'pg_signal_backend' to the user; sessions of superusers are ended by superusers only"
        failure = StepFailed if ended else StepNotDone
        raise failure(f"{access.name} ended {ended} of {len(chosen)} sessions and refused: {refusal}: {hint}")
    return {"database": database, "ended": ended, "sessions": len(pids)}


def _choose(pids: list[int], terminate: PostgresqlTerminate, fault: FaultCall) -> list[int]:
    seed: int | str = fault.id if terminate.seed is None else terminate.seed
    count = math.ceil(terminate.share * len(pids))
    return random.Random(seed).sample(pids, count)  # noqa: S311 - to be repeatable, not secret


async def _list_pids(connection: "AsyncConnection[Any]", words: Sequence[str | None]) -> list[int]:
    return [row[0] for row in await (await connection.execute(_SESSIONS, words)).fetchall()]


async def _end_each(connection: "AsyncConnection[Any]", pids: list[int]) -> tuple[int, str]:
    """How many were ended, and why the server refused another."""
    from psycopg import errors  # noqa: PLC0415

    ended, refusal = 0, ""
    for pid in pids:
        try:
            cursor = await connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        except errors.InsufficientPrivilege as error:
            refusal = shorten(error)
        else:
            ended += bool((await cursor.fetchall())[0][0])
    return ended, refusal


async def use_up_connections(
    access: Access, exhaust: PostgresqlExhaust, fault: FaultCall
) -> tuple[list["AsyncConnection[Any]"], Mapping[str, Any]]:
    """Open sessions until `leave` connections are left for ordinary users.

    Raises:
        StepNotDone: fewer are left already, or the user may not open so many.
        StepFailed: the server did not let it open all of them.
    """
    async with AsyncExitStack() as opened:
        connections: list[AsyncConnection[Any]] = []

        async def open_one() -> None:
            connection = await connect(access)
            opened.push_async_callback(connection.close)
            await run(access, connection, begin_lease(connection, fault.lease))
            connections.append(connection)

        await open_one()
        wanted = await _count_free(access, connections[0]) - exhaust.leave
        _check_count(access, wanted, exhaust)
        is_full = False
        while wanted > 0 and not is_full:
            batch = (open_one() for _ in range(min(wanted, AT_ONCE)))
            errors = [
                result
                for result in await asyncio.gather(*batch, return_exceptions=True)
                if result is not None
            ]
            # Another client was faster, or the user has a limit of its own.
            is_full = any(isinstance(error, NoConnectionLeft) for error in errors)
            for error in errors:
                if isinstance(error, StepNotDone) and not isinstance(error, NoConnectionLeft):
                    raise StepFailed(str(error)) from error  # the others have reached the server
                if not isinstance(error, NoConnectionLeft):
                    raise error
            wanted -= AT_ONCE
            # The first ones must not end while the last ones are opened.
            await run(access, connections[0], renew_sessions(connections, fault.lease))
        left = await _count_free(access, connections[0])
        if left > exhaust.leave:
            raise StepNotDone(
                f"{access.name} has {left} connections left, but lets this user open only {len(connections)}"
            )
        opened.pop_all()
        return connections, {"opened": len(connections), "left": max(left, 0)}


def _check_count(access: Access, wanted: int, exhaust: PostgresqlExhaust) -> None:
    free = wanted + exhaust.leave
    if wanted >= MAX_SESSIONS:
        raise StepNotDone(
            f"{access.name} has {free} connections left, and a fault takes at most {MAX_SESSIONS}: raise "
            "'leave', or lower the server's max_connections"
        )
    if wanted < 0:
        raise StepNotDone(f"{access.name} has only {max(free, 0)} connections left: lower 'leave'")


async def _count_free(access: Access, connection: "AsyncConnection[Any]") -> int:
    """How many connections ordinary users may still open."""

    async def work() -> int:
        await connection.execute(_LOOK_AGAIN)
        return int((await (await connection.execute(_FREE)).fetchall())[0][0])

    return await run(access, connection, work())
