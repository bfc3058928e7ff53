# Made from asynchronous/registrations.py by write_synchronous.py: change that instead.
"""Services, hosts and schedules."""

from collections.abc import Sequence
from typing import Any

from coordinator_client.addresses import quote_segment
from coordinator_client.synchronous import deletions
from coordinator_client.synchronous.transport import Transport
from coordinator_client.exchanges import MERGE_PATCH
from coordinator_client.parsing import parse, read_field
from coordinator_client.records import Check, Deletion, Discovery, Host, Schedule, Service


class Services:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str = "", limit: int | None = None) -> Sequence[Service]:
        """`name` matches a part of the name."""
        return [parse(Service, row) for row in self._transport.items("services", limit=limit, name=name)]

    def get(self, name: str) -> Service:
        return parse(Service, self._transport.json("GET", f"services/{quote_segment(name)}"))

    def put(self, name: str, base_url: str, *, only_new: bool = False, **fields: Any) -> Service:
        """Register a service, or change it. `fields` are those of the API; those left out stay.

        Raises:
            ConflictError: a run holds it, or it is registered and `only_new` is true.
        """
        body = {"base_url": base_url, **fields, **({"only_new": True} if only_new else {})}
        path = f"services/{quote_segment(name)}"
        return parse(Service, self._transport.json("PUT", path, body=body))

    def delete(self, name: str) -> None:
        self._transport.json("DELETE", f"services/{quote_segment(name)}")

    def discover(self, *, engine: str = "", project: str = "") -> Discovery:
        """What the coordinator's container engines know of compose projects. Nothing is registered."""
        wanted = {"engine": engine, "project": project}
        return parse(Discovery, self._transport.json("GET", "discovered-services", parameters=wanted))

    def test(self, name: str) -> Sequence[Check]:
        """Check its address, its health and its fault proxy, from the coordinator."""
        return _parse_checks(self._transport.json("POST", f"services/{quote_segment(name)}/test"))


class Hosts:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str = "", limit: int | None = None) -> Sequence[Host]:
        """`name` matches a part of the name."""
        return [parse(Host, row) for row in self._transport.items("hosts", limit=limit, name=name)]

    def get(self, name: str) -> Host:
        return parse(Host, self._transport.json("GET", f"hosts/{quote_segment(name)}"))

    def put(self, name: str, *, only_new: bool = False, **fields: Any) -> Host:
        """Register a host, or change it. `fields`: `address`, `labels`, `description`, `protected`."""
        body = {**fields, **({"only_new": True} if only_new else {})}
        return parse(Host, self._transport.json("PUT", f"hosts/{quote_segment(name)}", body=body))

    def delete(self, name: str) -> None:
        self._transport.json("DELETE", f"hosts/{quote_segment(name)}")

    def test(self, name: str) -> Sequence[Check]:
        """Check whether the coordinator reaches the host."""
        return _parse_checks(self._transport.json("POST", f"hosts/{quote_segment(name)}/test"))


class Schedules:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, scenario: str = "", limit: int | None = None) -> Sequence[Schedule]:
        rows = self._transport.items("schedules", limit=limit, scenario=scenario)
        return [parse(Schedule, row) for row in rows]

    def get(self, name: str) -> Schedule:
        return parse(Schedule, self._transport.json("GET", f"schedules/{quote_segment(name)}"))

    def put(self, name: str, scenario: str, cron: str, **fields: Any) -> Schedule:
        """Create or replace a schedule, which starts runs in the name of the token's owner.

        `fields` are those of the API, for example `time_zone` and `variables`. To run a suite, name it in
        `suite` and leave `scenario` empty.
        """
        body = {"cron": cron, **({"scenario": scenario} if scenario else {}), **fields}
        path = f"schedules/{quote_segment(name)}"
        return parse(Schedule, self._transport.json("PUT", path, body=body))

    def patch(self, name: str, **fields: Any) -> Schedule:
        """Change these fields of a schedule; None resets one. Variables that are not named stay.

        Raises:
            NotFoundError: there is no such schedule.
        """
        path = f"schedules/{quote_segment(name)}"
        headers = {"Content-Type": MERGE_PATCH}
        return parse(Schedule, self._transport.json("PATCH", path, body=fields, headers=headers))

    def delete(self, name: str) -> Deletion | None:
        """Delete the schedule; its runs stay.

        Returns None if it is deleted, or how far the watchdog is, which deletes those with many runs.
        """
        return deletions.delete_resource(self._transport, f"schedules/{quote_segment(name)}")

    def get_deletion(self, name: str) -> Deletion:
        """How far the watchdog is. Raises NotFoundError if it is deleted, or is not being deleted."""
        return deletions.get_deletion(self._transport, f"schedules/{quote_segment(name)}")

    def withdraw_deletion(self, name: str) -> Deletion:
        """Keep it; returns how far the deletion was. Raises as `get_deletion`."""
        return deletions.withdraw_deletion(self._transport, f"schedules/{quote_segment(name)}")

    def pause(self, name: str) -> Schedule:
        path = f"schedules/{quote_segment(name)}/pause"
        return parse(Schedule, self._transport.json("POST", path))

    def resume(self, name: str) -> Schedule:
        path = f"schedules/{quote_segment(name)}/resume"
        return parse(Schedule, self._transport.json("POST", path))


def _parse_checks(answer: Any) -> Sequence[Check]:
    return [parse(Check, row) for row in read_field(answer, "checks")]
