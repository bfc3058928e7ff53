"""The client: one object for each kind of thing that a coordinator stores."""

from collections.abc import Mapping
from json import loads
from types import TracebackType
from typing import Any, Self

from coordinator_client.asynchronous.allow_lists import AsyncAllowLists
from coordinator_client.asynchronous.decisions import AsyncApprovals, AsyncFaults, AsyncTokens, AsyncWebhooks
from coordinator_client.asynchronous.environments import AsyncEnvironments
from coordinator_client.asynchronous.events import AsyncEvents
from coordinator_client.asynchronous.registrations import AsyncHosts, AsyncSchedules, AsyncServices
from coordinator_client.asynchronous.runs import AsyncRuns
from coordinator_client.asynchronous.scenarios import AsyncScenarios
from coordinator_client.asynchronous.suites import AsyncSuites
from coordinator_client.asynchronous.transport import AsyncTransport
from coordinator_client.errors import CoordinatorError, WaitTimeoutError
from coordinator_client.exchanges import Response, build_call
from coordinator_client.parsing import parse, read_field
from coordinator_client.profiles import read_profile
from coordinator_client.records import GlobalStop, Identity, Run


class AsyncClient:
    """Speaks to one coordinator.

    Args:
        server: its address, for example `https://coordinator.example`.
        token: an API token.
        authority: a file with the certificates of a private authority; else those of the system are trusted.
        timeout: seconds until a silent server counts as unavailable.
        tries: how often a request is sent that can safely be sent again, within these seconds.
        transport: what sends the requests; another one is for tests.

    Raises:
        SettingsError: one of them is not valid.
    """

    def __init__(
        self,
        server: str,
        token: str = "",
        *,
        authority: str = "",
        timeout: float = 30.0,
        tries: int = 3,
        transport: type[AsyncTransport] = AsyncTransport,
    ) -> None:
        self._transport = transport(server, token, authority=authority, timeout=timeout, tries=tries)
        self.server = self._transport.server
        self.scenarios = AsyncScenarios(self._transport)
        self.runs = AsyncRuns(self._transport)
        self.events = AsyncEvents(self._transport)
        self.faults = AsyncFaults(self._transport)
        self.services = AsyncServices(self._transport)
        self.hosts = AsyncHosts(self._transport)
        self.environments = AsyncEnvironments(self._transport)
        self.allow_lists = AsyncAllowLists(self._transport)
        self.schedules = AsyncSchedules(self._transport)
        self.approvals = AsyncApprovals(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)
        self.tokens = AsyncTokens(self._transport)
        self.suites = AsyncSuites(self._transport)

    @classmethod
    def from_profile(cls, name: str = "", *, timeout: float = 30.0) -> Self:
        """The coordinator of the environment, or of that profile: see `read_profile`."""
        profile = read_profile(name)
        return cls(profile.server, profile.token, authority=profile.authority, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    async def run(
        self,
        scenario: str,
        variables: Mapping[str, Any] | None = None,
        /,
        *,
        environment: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - the run's
        **more: Any,
    ) -> Run:
        """Run a stored scenario with these variables, wait for its end, and return it.

        Variables are keywords, or a mapping, which may also have one that is called `environment` or
        `timeout`. If this is interrupted, or the run has not ended after `timeout` seconds, the run is
        stopped and its faults are undone. If the coordinator does not respond for a minute, this raises
        UnavailableError; the run continues.

        Raises:
            WaitTimeoutError: the run was stopped after `timeout` seconds, and has ended.
            TypeError: `timeout` is not a number.
        """
        _check_timeout(timeout)
        chosen = {**(variables or {}), **more}
        return await self._finish(await self.runs.start(scenario, chosen, environment=environment), timeout)

    async def run_document(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        environment: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - the run's
    ) -> Run:
        """As `run`, of a document that is not stored."""
        _check_timeout(timeout)
        started = await self.runs.start_document(document, variables, environment=environment)
        return await self._finish(started, timeout)

    async def _finish(self, run: Run, timeout: float | None) -> Run:  # noqa: ASYNC109 - the run's
        try:
            return await self._wait(run, timeout)
        except CoordinatorError:
            raise
        except BaseException as interrupt:  # Ctrl-C, a test's timeout, or a cancelled task
            await self._stop_after(interrupt, run.id)
            raise

    async def _wait(self, run: Run, timeout: float | None) -> Run:  # noqa: ASYNC109 - the run's
        try:
            return await self.runs.wait(run.id, timeout=timeout)
        except WaitTimeoutError as error:
            if not await self.runs.stop(run.id) and (ended := await self.runs.get(run.id)).has_ended:
                return ended  # in the meantime
            ended = await self.runs.wait(run.id)
            sentence = (
                f"Run {run.id} had not ended after {timeout:g} seconds and was stopped: {ended.verdict}."
            )
            raise WaitTimeoutError(sentence, ended) from error

    async def _stop_after(self, interrupt: BaseException, run_id: str) -> None:
        try:
            await self.runs.stop(run_id)
        except CoordinatorError as error:
            interrupt.add_note(f"Run {run_id} could not be stopped, and continues: {error}")

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send any request of the API; `path` is what follows `/api/v1/`.

        The body is `json` as JSON, or `content` as it is, which the API takes for a YAML document unless
        `headers` say something else. A write is repeated only if the headers have an `Idempotency-Key`.

        Raises:
            ValueError: both `json` and `content` are given.
        """
        if content and json is not None:
            raise ValueError("Give either 'json' or 'content', not both.")
        return await self._transport.request(
            method, path, document=content or None, body=json, repeatable=False, headers=headers
        )

    async def whoami(self) -> Identity:
        return parse(Identity, await self._transport.json("GET", "whoami"))

    async def get_version(self) -> str:
        """The coordinator's version, which needs no token."""
        return str(read_field(await self._transport.json("GET", "health"), "version"))

    async def find_problem(self, part: str) -> str:
        """The problem that `ready` reports for the part, for example "worker"; "" if none."""
        async with self._transport.open(build_call("GET", "ready"), 30.0) as answer:
            content = await answer.aread()
        try:
            return str(loads(content)["parts"][part]["problem"])
        except (ValueError, RecursionError, KeyError, TypeError):
            return ""

    async def get_global_stop(self) -> GlobalStop:
        return parse(GlobalStop, await self._transport.json("GET", "stop"))

    async def pull_global_stop(self, reason: str) -> int:
        """Stop all runs and let none begin; returns how many runs are being stopped."""
        done = await self._transport.json("POST", "stop", body={"reason": reason})
        return int(read_field(done, "stopped_runs"))

    async def release_global_stop(self) -> None:
        await self._transport.json("DELETE", "stop")


def _check_timeout(timeout: object) -> None:
    """Before anything is started: a scenario may have a variable of this name."""
    if not (timeout is None or isinstance(timeout, int | float)):
        raise TypeError(
            f"'timeout' is a number of seconds, not {timeout!r}; give a variable of this name in a mapping."
        )
