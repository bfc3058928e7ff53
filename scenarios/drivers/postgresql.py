"""Asks a PostgreSQL server, and injects faults that it ends by itself."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from django.conf import settings
from pydantic import Field

from scenarios.domain.addresses import THIS_HOST, resolve_places
from scenarios.domain.declarations import ABSENT
from scenarios.domain.errors import StepImpossible
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.service_urls import DEFAULT_PORTS
from scenarios.drivers import postgresql_faults
from scenarios.drivers.gate import get_secret_arguments
from scenarios.drivers.postgresql_connections import Access, Login, connected, run
from scenarios.drivers.postgresql_faults import (
    PostgresqlExhaust,
    PostgresqlLock,
    PostgresqlTerminate,
)
from scenarios.drivers.postgresql_rows import read_rows
from scenarios.drivers.postgresql_sessions import (
    APPLICATION,
    Sessions,
    count_sessions,
    end_sessions,
    name_session,
)
from scenarios.drivers.servers import (
    Protocol,
    Server,
    ServerArguments,
    build_target,
    find_broken_kinds,
    find_broken_rules,
    find_place,
    find_server,
    name_place,
    require_server,
)
from scenarios.ports import FaultCall, Platform

if TYPE_CHECKING:
    from psycopg import AsyncConnection

POSTGRESQL = Protocol("PostgreSQL", ("postgres", "postgresql"))
# Of sessions that hold no fault.
_LOOK = f"{APPLICATION} look"
# What a label would show of the step, unless it holds a secret.
_NAMING = frozenset({"lock", "terminate", "database"})
_DEFAULT_USER = "postgres"
_SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


class PostgresqlReturned(Returned):
    value: Any = Field(description="The only column of the only row.")
    rows: list[dict[str, Any]] = Field(
        json_schema_extra=ALWAYS, description="The rows, each by the names of its columns; at most 1,000."
    )
    count: int = Field(json_schema_extra=ALWAYS, ge=0, description="How many `rows` there are.")
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds, with the connection.")
    note: str = Field(description="A note, if there are more rows.")


class _Connecting(ServerArguments):
    """`sslmode` is that of libpq; `database` may also be in the URL."""

    database: Annotated[str, Field(min_length=1, max_length=63)] = Field(ABSENT)
    sslmode: _SslMode = "prefer"

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from find_broken_rules(values, POSTGRESQL)


class PostgresqlArguments(_Connecting):
    """`service` or `url`, such as `postgres://host:5432/database`, and `query`. `parameters` replace `%s`."""

    Returns: ClassVar[type[Returned]] = PostgresqlReturned
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    parameters: Annotated[list[Any], Field(max_length=100)] = Field(ABSENT)


class PostgresqlFaultArguments(_Connecting):
    """`service` or `url`, and one of `lock`, `terminate` and `exhaust`."""

    lock: PostgresqlLock = Field(ABSENT)
    terminate: PostgresqlTerminate = Field(ABSENT)
    exhaust: PostgresqlExhaust = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from super().relations(values)
        yield from find_broken_kinds(values, postgresql_faults.KINDS)


class Postgresql:
    """As a probe, it reads: `query` is one SELECT in a READ ONLY transaction. Functions that it calls may
    still do more, so use a role that may only read. Types that JSON lacks are returned as text, numbers that
    it lacks as `NaN`, `+Inf` and `-Inf`, intervals as seconds, and bytes in Base64.

    As a fault, `lock` locks a table, `exhaust` uses up connections until `leave` are left, and `terminate`
    ends a `share` of the sessions once. PostgreSQL itself ends the first two one lease after their last
    renewal; their sessions have an `application_name` that begins with `test-coordinator`.
    """

    name: ClassVar[str] = "postgresql"
    libraries: ClassVar[tuple[str, ...]] = ("psycopg",)
    Arguments: ClassVar[type[PostgresqlArguments]] = PostgresqlArguments
    FaultArguments: ClassVar[type[PostgresqlFaultArguments]] = PostgresqlFaultArguments

    def __init__(self) -> None:
        self._sessions = Sessions()

    def check(self, arguments: PostgresqlArguments, platform: Platform) -> None:
        find_server(arguments, platform, POSTGRESQL)

    def check_fault(self, arguments: PostgresqlFaultArguments, platform: Platform) -> None:
        find_server(arguments, platform, POSTGRESQL)

    async def reach(self, arguments: PostgresqlArguments, platform: Platform) -> Mapping[str, Any]:
        await require_server(find_server(arguments, platform, POSTGRESQL), platform)
        return {}

    async def probe(self, arguments: PostgresqlArguments, platform: Platform) -> Mapping[str, Any]:
        server = find_server(arguments, platform, POSTGRESQL)
        login = _build_login(arguments, server, _LOOK)
        access = Access(server, login, platform, arguments.timeout)
        started = time.perf_counter()
        async with connected(access) as connection:
            work = read_rows(connection, arguments.query, arguments.parameters, access.seconds)
            rows, are_all = await run(access, connection, work)
        fields: dict[str, Any] = {"rows": rows, "count": len(rows), "elapsed": time.perf_counter() - started}
        if not are_all:
            fields["note"] = f"there are more than these {len(rows)} rows"
        elif len(rows) == 1 and len(rows[0]) == 1:
            (fields["value"],) = rows[0].values()
        return fields

    async def act(self, arguments: PostgresqlArguments, platform: Platform) -> Mapping[str, Any]:
        del arguments, platform
        raise StepImpossible("a 'postgresql' step only reads: use it as a probe, or 'fault: {postgresql: …}'")

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        """Nothing of `terminate` lasts."""
        del arguments
        return True

    async def choose_target(
        self, arguments: PostgresqlFaultArguments, platform: Platform
    ) -> Mapping[str, Any]:
        server = find_server(arguments, platform, POSTGRESQL)
        login = _build_login(arguments, server, "")
        await _refuse_own_database(arguments, server, login)
        await require_server(server, platform)
        shows_names = bool(arguments.service) and _NAMING.isdisjoint(get_secret_arguments(platform))
        return build_target(arguments, server, _describe(arguments, server, login, shows_names=shows_names))

    async def inject(
        self, arguments: PostgresqlFaultArguments, platform: Platform, fault: FaultCall
    ) -> Mapping[str, Any]:
        if (report := self._sessions.find_report(fault)) is not None:
            return report
        access = _find_place(arguments, platform, fault)
        connections: Sequence[AsyncConnection[Any]] = []
        if arguments.terminate is not None:
            report = await postgresql_faults.terminate_sessions(access, arguments.terminate, fault)
        elif arguments.lock is not None:
            connections, report = await postgresql_faults.lock_table(access, arguments.lock, fault)
        else:
            connections, report = await postgresql_faults.use_up_connections(access, arguments.exhaust, fault)
        self._sessions.keep(fault, connections, report)
        return report

    async def renew(self, arguments: PostgresqlFaultArguments, platform: Platform, fault: FaultCall) -> None:
        if arguments.terminate is None:
            access = _find_place(arguments, platform, fault)
            await self._sessions.renew(fault, access.name, min(access.seconds, fault.lease))

    async def remove(self, arguments: PostgresqlFaultArguments, platform: Platform, fault: FaultCall) -> bool:
        was_held = await self._sessions.close(fault)
        if arguments.terminate is not None:
            return False
        access = _find_place(arguments, platform, fault, _LOOK)
        return await end_sessions(access, name_session(fault)) > 0 or was_held

    async def is_present(
        self, arguments: PostgresqlFaultArguments, platform: Platform, fault: FaultCall
    ) -> bool:
        if arguments.terminate is not None:
            return False
        access = _find_place(arguments, platform, fault, _LOOK)
        return await count_sessions(access, name_session(fault)) > 0


def _find_place(
    arguments: PostgresqlFaultArguments, platform: Platform, fault: FaultCall, application: str = ""
) -> Access:
    server = find_place(arguments, fault, POSTGRESQL)
    login = _build_login(arguments, server, application or name_session(fault))
    return Access(server, login, platform, arguments.timeout)


def _build_login(arguments: _Connecting, server: Server, application: str) -> Login:
    user = arguments.user or _DEFAULT_USER
    database = arguments.database or server.path or user
    return Login(user, arguments.password or "", database, arguments.sslmode, application)


def _describe(arguments: PostgresqlFaultArguments, server: Server, login: Login, *, shows_names: bool) -> str:
    place = name_place(arguments, server, POSTGRESQL)
    if arguments.lock is not None:
        table = f"table {arguments.lock.table!r} in {login.database!r}" if shows_names else "a table"
        return f"{table} of {place}"
    if arguments.terminate is not None:
        database = arguments.terminate.database or login.database
        return f"sessions in {database!r} of {place}" if shows_names else f"sessions of {place}"
    return f"connections of {place}"


async def _refuse_own_database(arguments: PostgresqlFaultArguments, server: Server, login: Login) -> None:
    """A coordinator that broke its own database could not keep its ledger."""
    own: Mapping[str, Any] = settings.DATABASES["default"]
    if not own["ENGINE"].endswith("postgresql"):
        return
    host = own.get("HOST") or THIS_HOST
    place = (THIS_HOST if host.startswith("/") else host, int(own.get("PORT") or DEFAULT_PORTS["postgres"]))
    found = [
        await asyncio.to_thread(resolve_places, address) for address in (place, (server.host, server.port))
    ]
    if found[0].isdisjoint(found[1]):
        return
    terminates = arguments.terminate is not None and arguments.terminate.database
    if arguments.exhaust is not None or (terminates or login.database) == own["NAME"]:
        raise StepImpossible(f"{server.name} has the coordinator's own database, which faults must not break")
