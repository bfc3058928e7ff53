"""Connections to PostgreSQL: admitted by the gate, limited in time, with a sentence for each kind of failure.

psycopg is imported when a step runs: importing it takes 0.2 s.
"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepNotDone, StepNotSent
from scenarios.domain.expectations import format_value
from scenarios.drivers.servers import Server, find_addresses
from scenarios.ports import Platform

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Error

T = TypeVar("T")

# Waited for a connection that was cut, whose reader only has to notice it.
CUT_SECONDS = 2.0
_SAID = re.compile(r"(?:FATAL|ERROR): +(.*)")
_FULL = "too many clients|remaining connection slots|too many connections"
# libpq returns only the text of what a server answers while a connection begins.
_REFUSALS = {
    "password authentication failed": "refused the user or its password: check 'user' and 'password'",
    "no password supplied": "asks for a password: give 'password', for example '${secret:NAME}'",
    "pg_hba.conf": "does not let this user connect from here: its pg_hba.conf has no fitting line",
    _FULL: "has no connection left",
    "server does not support SSL": "does not offer TLS: it cannot be used with this 'sslmode'",
    "certificate": "has a certificate that is not trusted",
    "Connection refused": "refused the connection",
    "the database system is": "is not ready: it starts, stops or recovers",
    "server closed the connection": "closed the connection without a response",
    "timeout expired": "did not answer in time",
}


@dataclass(frozen=True, slots=True)
class Login:
    """How a step connects. `application` is what the server lists as `application_name`."""

    user: str
    password: str
    database: str
    sslmode: str
    application: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, …)"


@dataclass(frozen=True, slots=True)
class Access:
    """A server, and how a step connects to it; `seconds` limits the connection and each statement."""

    server: Server
    login: Login
    platform: Platform
    seconds: float

    @property
    def name(self) -> str:
        return self.server.name


class NoConnectionLeft(StepNotSent):
    """The server has as many connections as it allows, in all or of this user."""


async def connect(access: Access, *, reads: bool = False) -> "AsyncConnection[Any]":
    """Open a connection, which begins a transaction with its first statement.

    Raises:
        StepNotSent: there is no connection; nothing was changed.
    """
    from psycopg import AsyncConnection, Error, IsolationLevel  # noqa: PLC0415

    try:
        async with asyncio.timeout(access.seconds):
            found = await find_addresses(access.server, access.platform, reads=reads)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
            words = _build_words(access, addresses)
            connection: AsyncConnection[Any] = await AsyncConnection.connect(**words)
    except TimeoutError as error:
        raise StepNotSent(f"{access.name} did not answer within {format_duration(access.seconds)}") from error
    except Error as error:
        kind = NoConnectionLeft if re.search(_FULL, str(error)) else StepNotSent
        raise kind(f"{access.name} {_explain_refusal(str(error))}") from error
    try:
        # Not the site's default: with a snapshot kept, VACUUM would suffer, which nobody asked for.
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
    except asyncio.CancelledError:
        await connection.close()
        raise
    return connection


@asynccontextmanager
async def connected(access: Access, *, reads: bool = False) -> AsyncIterator["AsyncConnection[Any]"]:
    """A connection that is closed at the end; errors of its statements become sentences."""
    connection = await connect(access, reads=reads)
    try:
        yield connection
    finally:
        await connection.close()


async def run(
    access: Access, connection: "AsyncConnection[Any]", work: Awaitable[T], *, more_seconds: float = 0.0
) -> T:
    """Carry out statements of this connection, which is cut where they do not end in time.

    psycopg would ask the server to cancel them, and wait for that too.

    Raises:
        StepNotDone: the server refused.
        StepFailed: it did not answer, or the connection was lost.
    """
    seconds = access.seconds + more_seconds
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _cut(connection, task)
        raise
    if not done:
        await _cut(connection, task)
        raise StepFailed(f"{access.name} did not answer within {format_duration(seconds)}")
    return read_result(task, access.name)


def read_result(done: "asyncio.Future[T]", name: str) -> T:
    """What ended work returned; see `run`."""
    from psycopg import DataError, Error  # noqa: PLC0415

    try:
        return done.result()
    except Error as error:
        if error.sqlstate is None and isinstance(error, DataError):
            raise StepFailed(f"{name} returned a value that cannot be read: {shorten(error)}") from error
        if error.sqlstate is None or _is_lost(error.sqlstate):
            raise StepFailed(f"{name} closed the connection: {shorten(error)}") from error
        raise StepNotDone(f"{name} answered: {shorten(error)}") from error


def cut(connection: "AsyncConnection[Any]") -> None:
    """End the connection under statements that are waiting for an answer: they fail at once."""
    from psycopg import Error  # noqa: PLC0415

    with suppress(OSError, Error), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


async def _cut(connection: "AsyncConnection[Any]", task: "asyncio.Future[Any]") -> None:
    cut(connection)
    await asyncio.wait({task}, timeout=CUT_SECONDS)
    if not task.done():
        task.cancel()
    elif not task.cancelled():
        task.exception()  # what comes of it was decided by the cut
    await connection.close()


def _build_words(access: Access, addresses: list[str]) -> Mapping[str, Any]:
    """All that the environment of this process must not decide, such as PGPASSWORD or ~/.pgpass."""
    server, login = access.server, access.login
    return {
        "host": ",".join([server.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": str(server.port),
        "dbname": login.database,
        "user": login.user,
        "password": login.password,
        "passfile": f"{os.devnull}/none",  # libpq complains about devices
        "sslmode": login.sslmode,
        "gssencmode": "disable",
        "options": "",
        "application_name": login.application,
    }


def _explain_refusal(text: str) -> str:
    # libpq lists each attempt, with and without TLS, before its reason, and adds hints in lines of their own.
    said = _SAID.findall(text)
    reason = f" ({format_value(said[-1])})" if said else ""
    for pattern, sentence in _REFUSALS.items():
        if re.search(pattern, text):
            return f"{sentence}{reason}"
    if said:
        return f"refused the connection{reason}"
    return f"cannot be reached: {format_value(text.strip().partition(chr(10))[0].rpartition('failed: ')[2])}"


def shorten(error: "Error") -> str:
    """What the server said, in one line."""
    said = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
    return format_value(said)


def _is_lost(sqlstate: str) -> bool:
    """Whether the server ended the session: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
    return sqlstate.startswith("08") or sqlstate in {"57P01", "57P02", "57P03", "57P05", "25P03"}
