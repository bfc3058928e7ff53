"""Suites: list them, show their matrices, and run, follow and stop them."""

from collections.abc import Sequence

from coordinator_client.addresses import quote_segment
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.parsing import parse, read_field
from coordinator_client.records import ListedSuite, SuiteMatrix, SuiteRun


class AsyncSuites:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(
        self, *, name: str = "", service: str = "", limit: int | None = None
    ) -> Sequence[ListedSuite]:
        """By name. `name` matches a part, `service` the whole name of the service."""
        rows = self._transport.items("suites", limit=limit, name=name, service=service)
        return [parse(ListedSuite, row) async for row in rows]

    async def document(self, name: str) -> str:
        """As it is stored."""
        found = await self._transport.json("GET", f"suites/{quote_segment(name)}")
        return str(read_field(found, "document"))

    async def put(self, name: str, document: str) -> str:
        """Store the document under its name; returns it.

        Raises:
            InvalidDocumentError: with every problem at its line and column; nothing is stored.
        """
        path = f"suites/{quote_segment(name)}"
        stored = await self._transport.json("PUT", path, document=document.encode())
        return str(read_field(stored, "document"))

    async def delete(self, name: str) -> None:
        """Delete the suite; its runs stay.

        Raises:
            ConflictError: one of its runs goes on.
        """
        await self._transport.json("DELETE", f"suites/{quote_segment(name)}")

    async def matrix(self, name: str) -> SuiteMatrix:
        """What each dependency and fault has shown, with the run that proves it."""
        path = f"suites/{quote_segment(name)}/matrix"
        return parse(SuiteMatrix, await self._transport.json("GET", path))

    async def start(self, name: str) -> SuiteRun:
        """Run the suite.

        Raises:
            ConflictError: one of its runs goes on.
        """
        path = f"suites/{quote_segment(name)}/runs"
        return parse(SuiteRun, await self._transport.json("POST", path))

    async def list_runs(self, name: str, *, limit: int | None = None) -> Sequence[SuiteRun]:
        """The newest first, without their cells."""
        path = f"suites/{quote_segment(name)}/runs"
        return [parse(SuiteRun, row) async for row in self._transport.items(path, limit=limit)]

    async def get_run(self, run_id: str) -> SuiteRun:
        path = f"suite-runs/{quote_segment(run_id)}"
        return parse(SuiteRun, await self._transport.json("GET", path))

    async def stop_run(self, run_id: str) -> bool:
        """Request the end. False if it has ended or is already being stopped."""
        answer = await self._transport.json("POST", f"suite-runs/{quote_segment(run_id)}/stop")
        return bool(read_field(answer, "stopping"))

    async def report(self, run_id: str) -> bytes:
        """The run of the suite as JUnit XML."""
        path = f"suite-runs/{quote_segment(run_id)}/report"
        response = await self._transport.request("GET", path, parameters={"format": "junit"})
        return response.content
