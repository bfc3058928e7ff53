"""Closes connections of clients of Redis, once."""

import math
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, Share
from scenarios.domain.errors import StepNotDone
from scenarios.drivers.redis_connections import Access, ask, connected
from scenarios.drivers.redis_pauses import APPLICATION
from scenarios.ports import FaultCall


class RedisKillClients(Declaration):
    """A share of the clients of this `type`, and of this `user` and `name` if they are given."""

    type: Literal["normal", "pubsub", "replica", "master"] = "normal"
    user: Annotated[str, Field(min_length=1, max_length=200)] = Field(ABSENT)
    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(ABSENT)
    share: Share = 1.0
    seed: Annotated[int, Field(ge=0), WHOLE] = Field(ABSENT)


async def kill_clients(access: Access, kill: RedisKillClients, fault: FaultCall) -> Mapping[str, Any]:
    """Close the connections, never those of a coordinator's own faults.

    Raises:
        StepNotDone: there is no such client, or the user may not close it.
    """
    async with connected(access) as connection:
        own = await ask(access, connection, "CLIENT", "ID")
        listed = await ask(access, connection, "CLIENT", "LIST", "TYPE", kill.type)
        clients = [dict(_read_pairs(line)) for line in listed.decode(errors="replace").splitlines()]
        found = [
            candidate
            for candidate in clients
            if _is_meant(candidate, kill) and candidate.get("id") != str(own)
        ]
        if not found:
            raise StepNotDone(f"{access.name} has no such client of type {kill.type!r}")
        seed: int | str = fault.id if kill.seed is None else kill.seed
        count = math.ceil(kill.share * len(found))
        chosen = random.Random(seed).sample(found, count)  # noqa: S311 - to be repeatable, not secret
        closed = 0
        for client in chosen:
            closed += await ask(access, connection, "CLIENT", "KILL", "ID", client["id"])
    return {"closed": closed, "clients": len(found)}


def _is_meant(client: Mapping[str, str], kill: RedisKillClients) -> bool:
    name = client.get("name", "")
    return (
        not name.startswith(APPLICATION)
        and kill.name in {None, name}
        and kill.user in {None, client.get("user")}
    )


def _read_pairs(line: str) -> list[tuple[str, str]]:
    # https://redis.io/docs/latest/commands/client-list/
    pairs = (part.partition("=") for part in line.split(" "))
    return [(key, value) for key, _, value in pairs]
