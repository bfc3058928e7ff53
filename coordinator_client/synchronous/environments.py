# Made from asynchronous/environments.py by write_synchronous.py: change that instead.
"""Environments: addresses of services and values of variables that belong together."""

from collections.abc import Sequence
from typing import Any

from coordinator_client.addresses import quote_segment
from coordinator_client.synchronous.transport import Transport
from coordinator_client.parsing import parse
from coordinator_client.records import Environment


class Environments:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str = "", limit: int | None = None) -> Sequence[Environment]:
        """`name` matches a part of the name."""
        rows = self._transport.items("environments", limit=limit, name=name)
        return [parse(Environment, row) for row in rows]

    def get(self, name: str) -> Environment:
        return parse(Environment, self._transport.json("GET", f"environments/{quote_segment(name)}"))

    def put(self, name: str, *, only_new: bool = False, **fields: Any) -> Environment:
        """Create an environment, or change it. `fields`: `services`, `variables`, `description`."""
        body = {**fields, **({"only_new": True} if only_new else {})}
        path = f"environments/{quote_segment(name)}"
        return parse(Environment, self._transport.json("PUT", path, body=body))

    def delete(self, name: str) -> None:
        self._transport.json("DELETE", f"environments/{quote_segment(name)}")
