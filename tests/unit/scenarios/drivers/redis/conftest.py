"""A Redis server, and faults of it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis as redis_client

from scenarios.drivers.redis import Redis, RedisFaultArguments
from scenarios.ports import FaultCall
from tests.servers.redis_server import Redis as Server
from tests.servers.redis_server import redis_server
from tests.unit.scenarios.drivers.conftest import Platform
from tests.unit.scenarios.drivers.one_fault import OneFault, injecting

ODD_PASSWORD = "p'a s=@:/%41#?"
# The commands that docs/server-faults.md lists.
PAUSING = ("+ping", "+pfcount", "+client|pause", "+client|unpause", "+client|setname", "+client|list")
LONG = 120.0
WRITES, ALL = {"pause": "writes"}, {"pause": "all"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis_server(tmp_path_factory.mktemp("redis")) as found:
        with client(found.url) as own:
            own.set("stock", 7)
            own.rpush("queue", "a", "b")
            own.execute_command("ACL", "SETUSER", "chaos", "on", f">{ODD_PASSWORD}", "~*", "+@all")
            own.execute_command("ACL", "SETUSER", "pauser", "on", ">less", "~*", "-@all", *PAUSING)
            own.execute_command("ACL", "SETUSER", "nobody", "on", ">none", "~*", "-@all", "+ping")
        yield found


@pytest.fixture(autouse=True)
def unpaused(server: Server) -> None:
    """A pause that another test left to its lease may last on a busy machine."""
    with client(server.url) as own:
        own.client_unpause()


def client(url: str) -> redis_client.Redis:
    return redis_client.Redis.from_url(url, socket_timeout=300)


def build_fault(url: str, words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> OneFault:
    arguments = RedisFaultArguments.model_validate({"service": "exchange", "timeout": "120s", **words})
    return OneFault(Redis(), arguments, Platform(url), FaultCall(name, lease, {"url": url}))


@pytest.fixture
async def inject(server: Server) -> AsyncIterator[Any]:
    """Injects faults, which end with the test."""

    def build(words: dict[str, Any], name: str = "f-1", lease: float = LONG) -> OneFault:
        return build_fault(server.url, words, name, lease)

    async with injecting(build) as begin:
        yield begin
