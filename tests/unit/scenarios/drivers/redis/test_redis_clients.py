"""Clients whose connections Redis closes, and faults that make no sense."""

from typing import Any

import pytest
import redis as redis_client
from pydantic import ValidationError

from scenarios.domain.errors import StepNotDone
from scenarios.drivers.redis import RedisFaultArguments
from tests.servers.redis_server import Redis as Server
from tests.unit.scenarios.drivers.redis.conftest import WRITES, client

pytestmark = pytest.mark.redis


async def test_clients_are_closed_once(inject: Any, server: Server) -> None:
    holder = await inject(WRITES, "holder")
    clients = [redis_client.Redis.from_url(server.url, client_name="shop", retry=None) for _ in range(4)]
    for opened in clients:
        opened.ping()
    fault = await inject({"kill_clients": {"name": "shop", "share": 0.5, "seed": 1}})
    assert await fault.inject() == {"closed": 2, "clients": 4}
    await fault.renew()
    assert not await fault.is_present()
    assert await fault.remove() is False
    await inject({"kill_clients": {}}, "f-2")
    with client(server.url) as own:
        names = [entry["name"] for entry in own.client_list()]
    assert "shop" not in names
    assert "test-coordinator:holder" in names
    await holder.remove()
    for opened in clients:
        opened.close()


async def test_no_such_client_is_no_fault(inject: Any) -> None:
    with pytest.raises(StepNotDone, match="has no such client of type 'replica'"):
        await inject({"kill_clients": {"type": "replica"}})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "give one of 'pause', 'kill_clients'"),
        ({"pause": "writes", "kill_clients": {}}, "cannot be combined"),
        ({"pause": "reads"}, "'writes' or 'all'"),
        ({"pause": "all", "url": "redis://:hidden@host"}, "leave the user and the password out"),
    ],
)
def test_fault_that_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    place = {} if "url" in words else {"service": "cache"}
    with pytest.raises(ValidationError, match=sentence):
        RedisFaultArguments.model_validate({**place, **words})
