# Made from asynchronous/suites.py by write_synchronous.py: change that instead.
"""Suites: list them, show their matrices, and run, follow and stop them."""

from collections.abc import Sequence

from coordinator_client.addresses import quote_segment
from coordinator_client.synchronous.transport import Transport
from coordinator_client.parsing import parse, read_field
from coordinator_client.records import ListedSuite, SuiteMatrix, SuiteRun


class Suites:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str = "", service: str = "", limit: int | None = None) -> Sequence[ListedSuite]:
        """By name. `name` matches a part, `service` the whole name of the service."""
        rows = self._transport.items("suites", limit=limit, name=name, service=service)
        return [parse(ListedSuite, row) for row in rows]

    def document(self, name: str) -> str:
        """As it is stored."""
        found = self._transport.json("GET", f"suites/{quote_segment(name)}")
        return str(read_field(found, "document"))

    def put(self, name: str, document: str) -> str:
        """Store the document under its name; returns it.

        Raises:
            InvalidDocumentError: with every problem at its line and column; nothing is stored.
        """
        path = f"suites/{quote_segment(name)}"
        stored = self._transport.json("PUT", path, document=document.encode())
        return str(read_field(stored, "document"))

    def delete(self, name: str) -> None:
        """Delete the suite; its runs stay.

        Raises:
            ConflictError: one of its runs goes on.
        """
        self._transport.json("DELETE", f"suites/{quote_segment(name)}")

    def matrix(self, name: str) -> SuiteMatrix:
        """What each dependency and fault has shown, with the run that proves it."""
        path = f"suites/{quote_segment(name)}/matrix"
        return parse(SuiteMatrix, self._transport.json("GET", path))

    def start(self, name: str) -> SuiteRun:
        """Run the suite.

        Raises:
            ConflictError: one of its runs goes on.
        """
        path = f"suites/{quote_segment(name)}/runs"
        return parse(SuiteRun, self._transport.json("POST", path))

    def list_runs(self, name: str, *, limit: int | None = None) -> Sequence[SuiteRun]:
        """The newest first, without their cells."""
        path = f"suites/{quote_segment(name)}/runs"
        return [parse(SuiteRun, row) for row in self._transport.items(path, limit=limit)]

    def get_run(self, run_id: str) -> SuiteRun:
        path = f"suite-runs/{quote_segment(run_id)}"
        return parse(SuiteRun, self._transport.json("GET", path))

    def stop_run(self, run_id: str) -> bool:
        """Request the end. False if it has ended or is already being stopped."""
        answer = self._transport.json("POST", f"suite-runs/{quote_segment(run_id)}/stop")
        return bool(read_field(answer, "stopping"))

    def report(self, run_id: str) -> bytes:
        """The run of the suite as JUnit XML."""
        path = f"suite-runs/{quote_segment(run_id)}/report"
        response = self._transport.request("GET", path, parameters={"format": "junit"})
        return response.content
