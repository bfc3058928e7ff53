# Made from asynchronous/allow_lists.py by write_synchronous.py: change that instead.
"""Allow lists: what steps may do on the coordinator's machine, and where they may connect to."""

from collections.abc import Sequence

from coordinator_client.addresses import quote_segment
from coordinator_client.synchronous.transport import Transport
from coordinator_client.parsing import parse
from coordinator_client.records import AllowList


class AllowLists:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[AllowList]:
        return [parse(AllowList, row) for row in self._transport.items("allow-lists", limit=None)]

    def get(self, name: str) -> AllowList:
        return parse(AllowList, self._transport.json("GET", f"allow-lists/{quote_segment(name)}"))

    def put(self, name: str, entries: Sequence[str] | None) -> AllowList:
        """Allow only these entries, within the coordinator's setting; with None, all of the setting."""
        body = {"entries": None if entries is None else [*entries]}
        path = f"allow-lists/{quote_segment(name)}"
        return parse(AllowList, self._transport.json("PUT", path, body=body))
