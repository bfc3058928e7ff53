# Made from asynchronous/runs.py by write_synchronous.py: change that instead.
"""Runs: start, follow, stop and report them."""

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from coordinator_client.addresses import quote_segment
from coordinator_client.synchronous.streams import watch_stream
from coordinator_client.synchronous.transport import Transport
from coordinator_client.errors import WaitTimeoutError
from coordinator_client.following import FollowedRun
from coordinator_client.parsing import parse, read_field
from coordinator_client.records import Event, Run, RunComparison


class Runs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        scenario: str = "",
        environment: str = "",
        status: str = "",
        rollback: str = "",
        since: str = "",
        until: str = "",
        by: str = "",
        id_prefix: str = "",
        limit: int | None = None,
    ) -> Sequence[Run]:
        """The newest first; without a `limit` all of them, in as many requests as there are pages.

        `since` and `until` are times by RFC 3339.
        """
        filters = {"scenario": scenario, "environment": environment, "status": status}
        filters |= {"rollback": rollback, "since": since, "until": until, "by": by, "id": id_prefix}
        return [parse(Run, row) for row in self._transport.items("runs", limit=limit, **filters)]

    def iterate(
        self,
        *,
        scenario: str = "",
        environment: str = "",
        status: str = "",
        rollback: str = "",
        since: str = "",
        until: str = "",
        by: str = "",
        id_prefix: str = "",
        limit: int | None = None,
    ) -> Iterator[Run]:
        """As `list`, but each page is requested when its first run is needed."""
        filters = {"scenario": scenario, "environment": environment, "status": status}
        filters |= {"rollback": rollback, "since": since, "until": until, "by": by, "id": id_prefix}
        for row in self._transport.items("runs", limit=limit, **filters):
            yield parse(Run, row)

    def get(self, run_id: str) -> Run:
        return parse(Run, self._transport.json("GET", f"runs/{quote_segment(run_id)}"))

    def start(
        self,
        scenario: str,
        variables: Mapping[str, Any] | None = None,
        *,
        wait: bool = True,
        priority: int = 0,
        environment: str = "",
        idempotency_key: str = "",
    ) -> Run:
        """Start a run of a stored scenario and return at once.

        With `wait=False`, the run is refused if it could not begin at once. With an `environment`, services
        have the addresses that it names. With an `idempotency_key` that was used for the same request in the
        last 24 hours, this is the run that was started then.

        Raises:
            NotFoundError: there is no such scenario.
            InvalidVariablesError: values do not fit its variables.
            ConflictError: the run would have to wait, or the key was used for another request.
            ValueError: the key is not 1 to 255 visible ASCII characters.
        """
        body = _build_request(variables, wait=wait, priority=priority, environment=environment)
        path = f"scenarios/{quote_segment(scenario)}/runs"
        return parse(Run, self._transport.json("POST", path, body=body, key=idempotency_key))

    def start_document(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        wait: bool = True,
        priority: int = 0,
        environment: str = "",
        idempotency_key: str = "",
    ) -> Run:
        """Start a run of a document, which is not stored. Raises as `start` does."""
        body = {
            "document": document,
            **_build_request(variables, wait=wait, priority=priority, environment=environment),
        }
        return parse(Run, self._transport.json("POST", "runs", body=body, key=idempotency_key))

    def stop(self, run_id: str, reason: str = "") -> bool:
        """Request the end: faults are undone. False if the run has ended or is already being stopped.

        The `reason` becomes part of the run's.
        """
        body = {"reason": reason} if reason else None
        done = self._transport.json("POST", f"runs/{quote_segment(run_id)}/stop", body=body)
        return bool(read_field(done, "stopping"))

    def compare(self, run_id: str, other: str = "") -> RunComparison:
        """What differs between two runs, and the figures of both.

        Without `other`, it is the last run of the scenario before this one that has passed or, if none has,
        the last one before it.

        Raises:
            NotFoundError: there is no such run, or no other run of the scenario.
        """
        path = f"runs/{quote_segment(run_id)}/comparison"
        return parse(RunComparison, self._transport.json("GET", path, parameters={"other": other}))

    def report(self, run_id: str, report_format: str = "json") -> bytes:
        """The report as `html`, `json`, `junit` or `md`."""
        path = f"runs/{quote_segment(run_id)}/report"
        # Each format has a media type of its own.
        accept = {"Accept": "*/*"}
        response = self._transport.request("GET", path, parameters={"format": report_format}, headers=accept)
        return response.content

    def events(self, run_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        """The stored events after that number, in order."""
        path = f"runs/{quote_segment(run_id)}/events"
        return [parse(Event, row) for row in self._transport.items(path, limit=limit, after=after)]

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """Yield each event once, as it happens, until the run has ended.

        A broken connection continues where it was. See `watch` for the errors.
        """
        for event in self.watch(FollowedRun(run_id, after)):
            if event is not None:
                yield event

    def watch(self, followed: FollowedRun, *, until: float | None = None) -> Iterator[Event | None]:
        """As `follow`, with None after each silence of seconds. `until` is a time of `time.monotonic`.

        Raises:
            UnavailableError: the coordinator has not responded for `followed.max_outage` seconds.
            NotFoundError: there is no such run.
        """
        path = f"runs/{quote_segment(followed.run_id)}/events"
        for event in watch_stream(self._transport, followed, path, until=until):
            yield event

    def wait(self, run_id: str, *, timeout: float | None = None) -> Run:
        """Wait until the run has ended, and return it.

        Raises:
            WaitTimeoutError: it has not ended after `timeout` seconds; it continues.
        """
        until = None if timeout is None else monotonic() + timeout
        run = self.get(run_id)
        for _ in self.watch(FollowedRun(run_id, run.last_event), until=until):
            pass
        run = self.get(run_id)
        if not run.has_ended:
            sentence = f"Run {run_id} has not ended after {timeout:g} seconds; it continues."
            raise WaitTimeoutError(sentence, run)
        return run


def _build_request(variables: Mapping[str, Any] | None, *, wait: bool, **more: Any) -> dict[str, Any]:
    """Leaves out what is at its default, because older coordinators do not know it."""
    body: dict[str, Any] = {"variables": dict(variables or {}), "wait": wait}
    return {**body, **{name: value for name, value in more.items() if value}}
