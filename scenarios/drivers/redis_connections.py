"""Connections to Redis: admitted by the gate, limited in time, with a sentence for each kind of failure.

redis-py is imported when a step runs: importing it takes 0.2 s. Its connection is used without its client,
which would connect again by itself, to wherever the name of the host leads by then.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepNotDone, StepNotSent
from scenarios.domain.expectations import format_value
from scenarios.drivers.gate import AddressInfo
from scenarios.drivers.servers import Server, find_addresses
from scenarios.ports import Platform

if TYPE_CHECKING:
    from redis.asyncio import Connection

T = TypeVar("T")

# What a server says, of which redis-py cuts off the code, when it does not carry out a command.
_REFUSALS = {
    "NOAUTH|Authentication required": "asks for a password: give 'password', for example '${secret:NAME}'",
    "WRONGPASS|invalid username-password|invalid password": (
        "refused the user or its password: check 'user' and 'password'"
    ),
    "without any password configured": "has no password: leave out 'password'",
    "NOPERM|no permissions": "does not let this user do that",
    "MOVED": "is a node of a cluster and does not have the key: name the node that has it",
    "ASK": "is a node of a cluster and is moving the key: try again",
    "CLUSTERDOWN": "is a node of a cluster that is not complete",
    "loading the dataset": "is not ready: it loads its data",
    "MASTERDOWN|Link with MASTER is down": "is a replica without its primary",
}


@dataclass(frozen=True, slots=True)
class Access:
    """A server, and how a step connects to it; `seconds` limits the connection and each command."""

    server: Server
    user: str
    password: str = field(repr=False)
    tls: bool
    platform: Platform
    seconds: float

    @property
    def name(self) -> str:
        return self.server.name


class NoAnswer(StepFailed):
    """The server accepted the connection and says nothing, as a paused one does."""


@asynccontextmanager
async def connected(access: Access, *, reads: bool = False) -> AsyncIterator["Connection"]:
    """A connection that is closed at the end, without waiting."""
    connection = await connect(access, reads=reads)
    try:
        yield connection
    finally:
        await close(connection)


async def connect(access: Access, *, reads: bool = False) -> "Connection":
    """Open a connection and log in.

    Raises:
        StepNotSent: there is no connection; nothing was changed.
        NoAnswer: the server does not answer.
    """
    try:
        async with asyncio.timeout(access.seconds):
            found = await find_addresses(access.server, access.platform, reads=reads)
            return await _try_each(access, found)
    except TimeoutError as error:
        hint = "; does it expect TLS?" if access.tls else ""
        seconds = format_duration(access.seconds)
        raise NoAnswer(f"{access.name} did not answer within {seconds}{hint}") from error


async def close(connection: "Connection") -> None:
    await connection.disconnect(nowait=True)


async def ask(access: Access, connection: "Connection", *words: str | float) -> Any:
    """Send a command, and return what the server answers.

    Raises:
        StepNotDone: the server refused.
        NoAnswer: it did not answer in time.
        StepFailed: it closed the connection.
    """

    async def work() -> Any:
        await connection.send_command(*words)
        return await connection.read_response()

    try:
        async with asyncio.timeout(access.seconds):
            return await explained(work(), access.name)
    except TimeoutError as error:
        raise NoAnswer(f"{access.name} did not answer within {format_duration(access.seconds)}") from error


async def explained(work: Awaitable[T], name: str) -> T:
    """What the work returns; errors of redis-py become sentences."""
    from redis import exceptions  # noqa: PLC0415

    try:
        return await work
    except (exceptions.ResponseError, exceptions.AuthenticationError, exceptions.BusyLoadingError) as error:
        raise StepNotDone(f"{name} {_explain_refusal(error)}") from error
    except (exceptions.RedisError, OSError) as error:
        raise StepFailed(f"{name} closed the connection: {format_value(str(error))}") from error


def _explain_refusal(error: Exception) -> str:
    from redis import exceptions  # noqa: PLC0415

    codes: dict[type[Exception], str] = {exceptions.MovedError: "MOVED", exceptions.AskError: "ASK"}
    codes[exceptions.ClusterDownError] = "CLUSTERDOWN"
    codes[exceptions.MasterDownError] = "MASTERDOWN"
    text = f"{codes.get(type(error), '')} {error}"
    for pattern, sentence in _REFUSALS.items():
        if re.search(pattern, text):
            return f"{sentence} ({format_value(str(error))})"
    return f"answered: {format_value(str(error))}"


async def _try_each(access: Access, addresses: list[AddressInfo]) -> "Connection":
    from redis import exceptions  # noqa: PLC0415

    failure: Exception | None = None
    for address in dict.fromkeys(str(info[4][0]) for info in addresses):
        connection = _build_connection(access, address)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except (
            exceptions.AuthenticationError,
            exceptions.BusyLoadingError,
            exceptions.ResponseError,
        ) as error:
            await close(connection)
            raise StepNotSent(f"{access.name} {_explain_refusal(error)}") from error
        except (exceptions.RedisError, OSError) as error:
            await close(connection)
            failure = error
        except BaseException:
            await close(connection)
            raise
        else:
            return connection
    raise StepNotSent(f"{access.name} {_explain_no_connection(failure)}") from failure


def _explain_no_connection(failure: Exception | None) -> str:
    text = str(failure)
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "refused the connection"
        cause = cause.__cause__ or cause.__context__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"has a certificate that is not trusted: {format_value(text)}"
    if "SSL" in text:
        return "does not speak TLS: leave out 'tls'"
    if "onnection closed" in text:
        return "closed the connection without an answer; if it expects TLS, use 'tls: true'"
    return f"cannot be reached: {format_value(text)}"


def _build_connection(access: Access, address: str) -> "Connection":
    from redis.asyncio import Connection  # noqa: PLC0415
    from redis.asyncio.connection import SSLConnection  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    class PinnedTls(SSLConnection):
        """Connects to the address that was admitted, and expects a certificate of the server's name."""

        def _connection_arguments(self) -> Any:
            return {**super()._connection_arguments(), "server_hostname": access.server.host}

    kind: Any = PinnedTls if access.tls else Connection
    connection: Connection = kind(
        host=address,
        port=access.server.port,
        db=int(access.server.path or 0),
        username=access.user or None,
        password=access.password or None,
        protocol=2,
        driver_info=None,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
    )
    return connection
