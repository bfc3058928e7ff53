"""Environments: addresses of services and values of variables that belong together."""

from collections.abc import Sequence
from typing import Any

from coordinator_client.addresses import quote_segment
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.parsing import parse
from coordinator_client.records import Environment


class AsyncEnvironments:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, name: str = "", limit: int | None = None) -> Sequence[Environment]:
        """`name` matches a part of the name."""
        rows = self._transport.items("environments", limit=limit, name=name)
        return [parse(Environment, row) async for row in rows]

    async def get(self, name: str) -> Environment:
        return parse(Environment, await self._transport.json("GET", f"environments/{quote_segment(name)}"))

    async def put(self, name: str, *, only_new: bool = False, **fields: Any) -> Environment:
        """Create an environment, or change it. `fields`: `services`, `variables`, `description`."""
        body = {**fields, **({"only_new": True} if only_new else {})}
        path = f"environments/{quote_segment(name)}"
        return parse(Environment, await self._transport.json("PUT", path, body=body))

    async def delete(self, name: str) -> None:
        await self._transport.json("DELETE", f"environments/{quote_segment(name)}")
