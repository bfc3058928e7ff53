"""Sessions that hold a fault in PostgreSQL, and that the server ends when nobody renews them.

Each is in a transaction and idle. `idle_in_transaction_session_timeout`, set for this transaction alone, is
the lease: any statement begins it again, and PostgreSQL ends the session when it is over, whatever has become
of the client. https://www.postgresql.org/docs/current/runtime-config-client.html
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from scenarios.domain.errors import FaultGone, StepFailed
from scenarios.drivers.postgresql_connections import (
    Access,
    NoConnectionLeft,
    connected,
    cut,
    read_result,
    run,
)
from scenarios.drivers.servers import to_milliseconds
from scenarios.ports import FaultCall

if TYPE_CHECKING:
    from psycopg import AsyncConnection

APPLICATION = "test-coordinator"
# PostgreSQL cuts application_name after 63 bytes, and replaces what is not printable ASCII.
_PLAIN_ID = re.compile(r"[!-~]{1,40}")
AT_ONCE = 20
_LOOK_SECONDS = 0.05

_BEGIN = """SELECT pg_backend_pid(), set_config('idle_in_transaction_session_timeout', %s, true),
set_config('lock_timeout', %s, true), set_config('statement_timeout', '0', true)"""
_RENEW = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"
_END = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = %s AND pid <> pg_backend_pid()"""
_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"


def name_session(fault: FaultCall) -> str:
    """The `application_name` of the fault's sessions, by which any process finds them."""
    plain = _PLAIN_ID.fullmatch(fault.id)
    return f"{APPLICATION} {fault.id if plain else hashlib.sha256(fault.id.encode()).hexdigest()[:40]}"


@dataclass(slots=True)
class Held:
    """`loop` is the one that its connections belong to."""

    connections: Sequence["AsyncConnection[Any]"]
    report: Mapping[str, Any]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    renewal: "asyncio.Task[None] | None" = None


class Sessions:
    """The sessions that this process holds, by fault."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def find_report(self, fault: FaultCall) -> Mapping[str, Any] | None:
        """What was done when the fault was injected, while its sessions are held here."""
        held = self._held.get(fault.id)
        return held.report if held is not None else None

    def keep(
        self, fault: FaultCall, connections: Sequence["AsyncConnection[Any]"], report: Mapping[str, Any]
    ) -> None:
        self._held[fault.id] = Held(connections, report)

    async def renew(self, fault: FaultCall, name: str, seconds: float) -> None:
        """Begin the lease of each session again.

        Raises:
            FaultGone: a session has ended.
            StepFailed: the server has not answered yet. Its sessions are kept, and asked again.
        """
        held = self._held.get(fault.id)
        if held is None or held.loop is not asyncio.get_running_loop():
            raise FaultGone(f"no session of this process holds the fault at {name}")
        renewal = held.renewal
        if renewal is None:
            renewal = held.renewal = asyncio.create_task(renew_sessions(held.connections, fault.lease))
        await asyncio.wait({renewal}, timeout=seconds)
        if not renewal.done():
            raise StepFailed(f"{name} did not answer")
        held.renewal = None
        try:
            read_result(renewal, name)
        except StepFailed as error:
            raise FaultGone(f"a session that held the fault has ended: {error}") from error

    async def close(self, fault: FaultCall) -> bool:
        """Close the fault's sessions; the server ends each transaction once it notices.

        Returns whether any was held here.
        """
        held = self._held.pop(fault.id, None)
        if held is None:
            return False
        renewal = held.renewal  # `renew` forgets it once it has ended
        if renewal is not None and held.loop is asyncio.get_running_loop():
            for connection in held.connections:
                cut(connection)
            await asyncio.wait({renewal})
            renewal.exception()  # so that asyncio does not report it
        for connection in held.connections:
            # Not by close(), a coroutine of a loop that may be gone.
            connection.pgconn.finish()
        return True


async def begin_lease(connection: "AsyncConnection[Any]", lease: float, lock_timeout: float = 0.0) -> int:
    """Begin the transaction that the server ends after the lease. Returns the server's process id."""
    waiting = to_milliseconds(lock_timeout) if lock_timeout else 0
    cursor = await connection.execute(_BEGIN, [str(to_milliseconds(lease)), str(waiting)])
    return int((await cursor.fetchall())[0][0])


async def end_sessions(access: Access, application: str) -> int:
    """End the sessions of this name, in whatever process, and wait until the server has none.

    Raises:
        StepNotSent: there is no connection.
        StepNotDone: the server refused.
        StepFailed: a session does not end.
    """
    full: NoConnectionLeft | None = None
    try:
        async with asyncio.timeout(access.seconds):
            while True:
                try:
                    return await _end_sessions(access, application)
                except NoConnectionLeft as error:
                    # As long as the server has not noticed that this process has closed the fault's own.
                    full = error
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise full or StepFailed(f"{access.name} has not ended {application!r} yet") from error


async def _end_sessions(access: Access, application: str) -> int:
    async with connected(access) as connection:
        await connection.set_autocommit(True)
        found = await run(access, connection, _ask(connection, _END, application))
        left = found
        while left:
            await asyncio.sleep(_LOOK_SECONDS)
            left = await run(access, connection, _ask(connection, _COUNT, application))
        return found


async def count_sessions(access: Access, application: str) -> int:
    async with connected(access, reads=True) as connection:
        return await run(access, connection, _ask(connection, _COUNT, application))


async def _ask(connection: "AsyncConnection[Any]", query: LiteralString, application: str) -> int:
    cursor = await connection.execute(query, [application])
    return int((await cursor.fetchall())[0][0])


async def renew_sessions(connections: Sequence["AsyncConnection[Any]"], lease: float) -> None:
    """Begin the lease of each session again; raises psycopg.Error where one has ended."""
    lasting = [str(to_milliseconds(lease))]
    for start in range(0, len(connections), AT_ONCE):
        batch = connections[start : start + AT_ONCE]
        await asyncio.gather(*(connection.execute(_RENEW, lasting) for connection in batch))
