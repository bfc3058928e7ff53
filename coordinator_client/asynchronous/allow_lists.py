"""Allow lists: what steps may do on the coordinator's machine, and where they may connect to."""

from collections.abc import Sequence

from coordinator_client.addresses import quote_segment
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.parsing import parse
from coordinator_client.records import AllowList


class AsyncAllowLists:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> Sequence[AllowList]:
        return [parse(AllowList, row) async for row in self._transport.items("allow-lists", limit=None)]

    async def get(self, name: str) -> AllowList:
        return parse(AllowList, await self._transport.json("GET", f"allow-lists/{quote_segment(name)}"))

    async def put(self, name: str, entries: Sequence[str] | None) -> AllowList:
        """Allow only these entries, within the coordinator's setting; with None, all of the setting."""
        body = {"entries": None if entries is None else [*entries]}
        path = f"allow-lists/{quote_segment(name)}"
        return parse(AllowList, await self._transport.json("PUT", path, body=body))
