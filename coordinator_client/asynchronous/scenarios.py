"""Scenarios: store, find, validate, import and delete them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from coordinator_client.addresses import quote_segment
from coordinator_client.asynchronous import deletions
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.parsing import parse, read_field
from coordinator_client.records import Change, Deletion, PlannedRun, Scenario, Translation, Version


class AsyncScenarios:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(
        self, *, name: str = "", tag: str = "", text: str = "", limit: int | None = None
    ) -> Sequence[Scenario]:
        """By name, without documents. `name` and `text` match parts, `tag` a whole tag."""
        rows = self._transport.items("scenarios", limit=limit, name=name, tag=tag, text=text)
        return [parse(Scenario, row) async for row in rows]

    async def get(self, name: str) -> Scenario:
        """The scenario with its document."""
        return parse(Scenario, await self._transport.json("GET", f"scenarios/{quote_segment(name)}"))

    async def put(self, name: str, document: str) -> Scenario:
        """Store the document under its name.

        Raises:
            InvalidDocumentError: with every problem at its line and column; nothing is stored.
        """
        path = f"scenarios/{quote_segment(name)}"
        return parse(Scenario, await self._transport.json("PUT", path, document=document.encode()))

    async def delete(self, name: str) -> Deletion | None:
        """Delete the scenario; its runs stay.

        Returns None if it is deleted, or how far the watchdog is, which deletes those with many runs.

        Raises:
            ConflictError: a run is unfinished or has left a fault.
        """
        return await deletions.delete_resource(self._transport, f"scenarios/{quote_segment(name)}")

    async def get_deletion(self, name: str) -> Deletion:
        """How far the watchdog is with a scenario that had many runs.

        Raises:
            NotFoundError: it is deleted, or is not being deleted.
        """
        return await deletions.get_deletion(self._transport, f"scenarios/{quote_segment(name)}")

    async def withdraw_deletion(self, name: str) -> Deletion:
        """Keep a scenario that the watchdog is deleting; returns how far it was.

        Raises:
            NotFoundError: it is deleted, or is not being deleted.
        """
        return await deletions.withdraw_deletion(self._transport, f"scenarios/{quote_segment(name)}")

    async def validate(self, name: str, document: bytes, *, subject: str = "scenario") -> str:
        """Validate the document of a scenario or `suite`; nothing is stored. Raises as `put` does."""
        path = f"{subject}s/{quote_segment(name)}/validate"
        answer = await self._transport.json("POST", path, document=document, repeatable=False)
        return str(read_field(answer, "name"))

    async def import_documents(
        self,
        documents: Sequence[str],
        *,
        prune: bool = False,
        check: bool = False,
        only_new: Collection[str] = (),
    ) -> Sequence[Change]:
        """Store all documents or none; each has its whole text.

        `check` stores nothing; `prune` also removes every other scenario and suite. Nothing is stored if a
        name in `only_new` is stored with another document.
        """
        body: dict[str, Any] = {"documents": list(documents), "prune": prune}
        if check:
            body["check"] = True
        if only_new:
            body["only_new"] = sorted(only_new)
        answer = await self._transport.json("POST", "import", body=body)
        return [parse(Change, row) for row in read_field(answer, "changes")]

    async def list_versions(self, name: str, *, limit: int | None = None) -> Sequence[Version]:
        """The newest first, without documents."""
        path = f"scenarios/{quote_segment(name)}/versions"
        return [parse(Version, row) async for row in self._transport.items(path, limit=limit)]

    async def get_version(self, name: str, version: int) -> Version:
        path = f"scenarios/{quote_segment(name)}/versions/{version}"
        return parse(Version, await self._transport.json("GET", path))

    async def restore_version(self, name: str, version: int) -> Scenario:
        """Store an earlier version again, as the newest one.

        Raises:
            NotFoundError: there is no such scenario or version.
            InvalidDocumentError: the version is no longer valid; nothing is stored.
            ConflictError: somebody has changed the scenario in the meantime; nothing is stored.
        """
        path = f"scenarios/{quote_segment(name)}"
        stored = await self._transport.request("GET", path)
        document = (await self.get_version(name, version)).document
        expected = {"If-Match": stored.headers.get("etag", "")}
        answer = await self._transport.json("PUT", path, document=document.encode(), headers=expected)
        return parse(Scenario, answer)

    async def plan(
        self, document: str, variables: Mapping[str, Any] | None = None, *, environment: str = ""
    ) -> PlannedRun:
        """What a run of the document would do, and what it would meet now; starts nothing."""
        body = {"document": document, "variables": dict(variables or {})}
        body |= {"environment": environment} if environment else {}
        return parse(PlannedRun, await self._transport.json("POST", "plan", body=body, repeatable=False))

    async def translate(self, experiment: bytes, *, name: str = "") -> Translation:
        """Translate an experiment of Chaos Toolkit to a scenario; stores nothing."""
        answer = await self._transport.json(
            "POST",
            "experiments/translate",
            document=experiment,
            parameters={"name": name},
            repeatable=False,
        )
        return parse(Translation, answer)
