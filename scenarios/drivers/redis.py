"""Asks a Redis server, and injects faults that it ends by itself."""

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from scenarios.domain.declarations import ABSENT
from scenarios.domain.errors import StepImpossible
from scenarios.domain.results import ALWAYS, Returned
from scenarios.drivers import redis_pauses
from scenarios.drivers.redis_clients import RedisKillClients, kill_clients
from scenarios.drivers.redis_commands import check_command, require_reading, to_json
from scenarios.drivers.redis_connections import Access, ask, connected
from scenarios.drivers.redis_pauses import Held
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

REDIS = Protocol("Redis", ("redis",))
KINDS = ("pause", "kill_clients")


class RedisReturned(Returned):
    value: Any = Field(json_schema_extra=ALWAYS, description="What the server answered.")
    elapsed: float = Field(json_schema_extra=ALWAYS, ge=0, description="Seconds, with the connection.")


class _Connecting(ServerArguments):
    """The number of the database may be in the URL."""

    tls: bool = False

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from find_broken_rules(values, REDIS)


class RedisArguments(_Connecting):
    """`service` or `url`, such as `redis://host:6379/0`. `command` is a list such as `[GET, stock:42]`."""

    Returns: ClassVar[type[Returned]] = RedisReturned
    command: Annotated[
        list[str | int | float], Field(min_length=1, max_length=100), AfterValidator(check_command)
    ] = ["PING"]


class RedisFaultArguments(_Connecting):
    """`service` or `url`, and one of `pause` and `kill_clients`."""

    pause: Literal["writes", "all"] = Field(ABSENT)
    kill_clients: RedisKillClients = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from super().relations(values)
        yield from find_broken_kinds(values, KINDS)


class Redis:
    """As a probe, it reads: the command must be one that Redis marks as read-only, or `PING`, `ECHO`,
    `INFO`, `LASTSAVE`, `ROLE` or `TIME`. A value that is not UTF-8 is returned with replacement characters.

    As a fault, `pause` holds back commands that may write, or all of them, and `kill_clients` closes the
    connections of clients once. Redis itself ends a pause one lease after its last renewal. It has only one
    pause: a second one is refused.
    """

    name: ClassVar[str] = "redis"
    libraries: ClassVar[tuple[str, ...]] = ("redis.asyncio",)
    Arguments: ClassVar[type[RedisArguments]] = RedisArguments
    FaultArguments: ClassVar[type[RedisFaultArguments]] = RedisFaultArguments

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._closed: dict[str, Mapping[str, Any]] = {}

    def check(self, arguments: RedisArguments, platform: Platform) -> None:
        _build_access(arguments, find_server(arguments, platform, REDIS), platform)

    def check_fault(self, arguments: RedisFaultArguments, platform: Platform) -> None:
        _build_access(arguments, find_server(arguments, platform, REDIS), platform)

    async def reach(self, arguments: RedisArguments, platform: Platform) -> Mapping[str, Any]:
        await require_server(find_server(arguments, platform, REDIS), platform)
        return {}

    async def probe(self, arguments: RedisArguments, platform: Platform) -> Mapping[str, Any]:
        access = _build_access(arguments, find_server(arguments, platform, REDIS), platform)
        started = time.perf_counter()
        async with connected(access) as connection:
            await require_reading(access, connection, arguments.command)
            value = await ask(access, connection, *arguments.command)
        return {"value": to_json(value), "elapsed": time.perf_counter() - started}

    async def act(self, arguments: RedisArguments, platform: Platform) -> Mapping[str, Any]:
        del arguments, platform
        raise StepImpossible("a 'redis' step only reads: use it as a probe, or 'fault: {redis: …}'")

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        """Nothing of `kill_clients` lasts."""
        del arguments
        return True

    async def choose_target(self, arguments: RedisFaultArguments, platform: Platform) -> Mapping[str, Any]:
        server = find_server(arguments, platform, REDIS)
        await require_server(server, platform)
        place = name_place(arguments, server, REDIS)
        return build_target(arguments, server, place if arguments.pause else f"clients of {place}")

    async def inject(
        self, arguments: RedisFaultArguments, platform: Platform, fault: FaultCall
    ) -> Mapping[str, Any]:
        if (held := self._held.get(fault.id)) is not None:
            return held.report
        access = _find_place(arguments, platform, fault)
        if arguments.pause is None:
            if fault.id not in self._closed:
                self._closed[fault.id] = await kill_clients(access, arguments.kill_clients, fault)
            return self._closed[fault.id]
        held = self._held[fault.id] = await redis_pauses.pause(access, arguments.pause, fault)
        return held.report

    async def renew(self, arguments: RedisFaultArguments, platform: Platform, fault: FaultCall) -> None:
        if arguments.pause is None:
            return
        access = _find_place(arguments, platform, fault)
        await redis_pauses.prolong(access, arguments.pause, fault, self._held.get(fault.id))

    async def remove(self, arguments: RedisFaultArguments, platform: Platform, fault: FaultCall) -> bool:
        if arguments.pause is None:
            self._closed.pop(fault.id, None)
            return False
        access = _find_place(arguments, platform, fault)
        return await redis_pauses.end(access, arguments.pause, fault, self._held.pop(fault.id, None))

    async def is_present(self, arguments: RedisFaultArguments, platform: Platform, fault: FaultCall) -> bool:
        if arguments.pause is None:
            return False
        return await redis_pauses.is_held(_find_place(arguments, platform, fault), arguments.pause, fault)


def _find_place(arguments: RedisFaultArguments, platform: Platform, fault: FaultCall) -> Access:
    return _build_access(arguments, find_place(arguments, fault, REDIS), platform)


def _build_access(arguments: _Connecting, server: Server, platform: Platform) -> Access:
    return Access(
        server=server,
        user=arguments.user or "",
        password=arguments.password or "",
        tls=arguments.tls,
        platform=platform,
        seconds=arguments.timeout,
    )
