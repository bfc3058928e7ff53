"""Services, hosts and schedules."""

from collections.abc import Sequence
from typing import Any

from coordinator_client.addresses import quote_segment
from coordinator_client.asynchronous import deletions
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.exchanges import MERGE_PATCH
from coordinator_client.parsing import parse, read_field
from coordinator_client.records import Check, Deletion, Discovery, Host, Schedule, Service


class AsyncServices:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, name: str = "", limit: int | None = None) -> Sequence[Service]:
        """`name` matches a part of the name."""
        return [
            parse(Service, row) async for row in self._transport.items("services", limit=limit, name=name)
        ]

    async def get(self, name: str) -> Service:
        return parse(Service, await self._transport.json("GET", f"services/{quote_segment(name)}"))

    async def put(self, name: str, base_url: str, *, only_new: bool = False, **fields: Any) -> Service:
        """Register a service, or change it. `fields` are those of the API; those left out stay.

        Raises:
            ConflictError: a run holds it, or it is registered and `only_new` is true.
        """
        body = {"base_url": base_url, **fields, **({"only_new": True} if only_new else {})}
        path = f"services/{quote_segment(name)}"
        return parse(Service, await self._transport.json("PUT", path, body=body))

    async def delete(self, name: str) -> None:
        await self._transport.json("DELETE", f"services/{quote_segment(name)}")

    async def discover(self, *, engine: str = "", project: str = "") -> Discovery:
        """What the coordinator's container engines know of compose projects. Nothing is registered."""
        wanted = {"engine": engine, "project": project}
        return parse(Discovery, await self._transport.json("GET", "discovered-services", parameters=wanted))

    async def test(self, name: str) -> Sequence[Check]:
        """Check its address, its health and its fault proxy, from the coordinator."""
        return _parse_checks(await self._transport.json("POST", f"services/{quote_segment(name)}/test"))


class AsyncHosts:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, name: str = "", limit: int | None = None) -> Sequence[Host]:
        """`name` matches a part of the name."""
        return [parse(Host, row) async for row in self._transport.items("hosts", limit=limit, name=name)]

    async def get(self, name: str) -> Host:
        return parse(Host, await self._transport.json("GET", f"hosts/{quote_segment(name)}"))

    async def put(self, name: str, *, only_new: bool = False, **fields: Any) -> Host:
        """Register a host, or change it. `fields`: `address`, `labels`, `description`, `protected`."""
        body = {**fields, **({"only_new": True} if only_new else {})}
        return parse(Host, await self._transport.json("PUT", f"hosts/{quote_segment(name)}", body=body))

    async def delete(self, name: str) -> None:
        await self._transport.json("DELETE", f"hosts/{quote_segment(name)}")

    async def test(self, name: str) -> Sequence[Check]:
        """Check whether the coordinator reaches the host."""
        return _parse_checks(await self._transport.json("POST", f"hosts/{quote_segment(name)}/test"))


class AsyncSchedules:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, *, scenario: str = "", limit: int | None = None) -> Sequence[Schedule]:
        rows = self._transport.items("schedules", limit=limit, scenario=scenario)
        return [parse(Schedule, row) async for row in rows]

    async def get(self, name: str) -> Schedule:
        return parse(Schedule, await self._transport.json("GET", f"schedules/{quote_segment(name)}"))

    async def put(self, name: str, scenario: str, cron: str, **fields: Any) -> Schedule:
        """Create or replace a schedule, which starts runs in the name of the token's owner.

        `fields` are those of the API, for example `time_zone` and `variables`. To run a suite, name it in
        `suite` and leave `scenario` empty.
        """
        body = {"cron": cron, **({"scenario": scenario} if scenario else {}), **fields}
        path = f"schedules/{quote_segment(name)}"
        return parse(Schedule, await self._transport.json("PUT", path, body=body))

    async def patch(self, name: str, **fields: Any) -> Schedule:
        """Change these fields of a schedule; None resets one. Variables that are not named stay.

        Raises:
            NotFoundError: there is no such schedule.
        """
        path = f"schedules/{quote_segment(name)}"
        headers = {"Content-Type": MERGE_PATCH}
        return parse(Schedule, await self._transport.json("PATCH", path, body=fields, headers=headers))

    async def delete(self, name: str) -> Deletion | None:
        """Delete the schedule; its runs stay.

        Returns None if it is deleted, or how far the watchdog is, which deletes those with many runs.
        """
        return await deletions.delete_resource(self._transport, f"schedules/{quote_segment(name)}")

    async def get_deletion(self, name: str) -> Deletion:
        """How far the watchdog is. Raises NotFoundError if it is deleted, or is not being deleted."""
        return await deletions.get_deletion(self._transport, f"schedules/{quote_segment(name)}")

    async def withdraw_deletion(self, name: str) -> Deletion:
        """Keep it; returns how far the deletion was. Raises as `get_deletion`."""
        return await deletions.withdraw_deletion(self._transport, f"schedules/{quote_segment(name)}")

    async def pause(self, name: str) -> Schedule:
        path = f"schedules/{quote_segment(name)}/pause"
        return parse(Schedule, await self._transport.json("POST", path))

    async def resume(self, name: str) -> Schedule:
        path = f"schedules/{quote_segment(name)}/resume"
        return parse(Schedule, await self._transport.json("POST", path))


def _parse_checks(answer: Any) -> Sequence[Check]:
    return [parse(Check, row) for row in read_field(answer, "checks")]
