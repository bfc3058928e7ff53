# Made from asynchronous/client.py by write_synchronous.py: change that instead.
"""The client: one object for each kind of thing that a coordinator stores."""

from collections.abc import Mapping
from json import loads
from types import TracebackType
from typing import Any, Self

from coordinator_client.synchronous.allow_lists import AllowLists
from coordinator_client.synchronous.decisions import Approvals, Faults, Tokens, Webhooks
from coordinator_client.synchronous.environments import Environments
from coordinator_client.synchronous.events import Events
from coordinator_client.synchronous.registrations import Hosts, Schedules, Services
from coordinator_client.synchronous.runs import Runs
from coordinator_client.synchronous.scenarios import Scenarios
from coordinator_client.synchronous.suites import Suites
from coordinator_client.synchronous.transport import Transport
from coordinator_client.errors import CoordinatorError, WaitTimeoutError
from coordinator_client.exchanges import Response, build_call
from coordinator_client.parsing import parse, read_field
from coordinator_client.profiles import read_profile
from coordinator_client.records import GlobalStop, Identity, Run


class Client:
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
        transport: type[Transport] = Transport,
    ) -> None:
        self._transport = transport(server, token, authority=authority, timeout=timeout, tries=tries)
        self.server = self._transport.server
        self.scenarios = Scenarios(self._transport)
        self.runs = Runs(self._transport)
        self.events = Events(self._transport)
        self.faults = Faults(self._transport)
        self.services = Services(self._transport)
        self.hosts = Hosts(self._transport)
        self.environments = Environments(self._transport)
        self.allow_lists = AllowLists(self._transport)
        self.schedules = Schedules(self._transport)
        self.approvals = Approvals(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.tokens = Tokens(self._transport)
        self.suites = Suites(self._transport)

    @classmethod
    def from_profile(cls, name: str = "", *, timeout: float = 30.0) -> Self:
        """The coordinator of the environment, or of that profile: see `read_profile`."""
        profile = read_profile(name)
        return cls(profile.server, profile.token, authority=profile.authority, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def run(
        self,
        scenario: str,
        variables: Mapping[str, Any] | None = None,
        /,
        *,
        environment: str = "",
        timeout: float | None = None,
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
        return self._finish(self.runs.start(scenario, chosen, environment=environment), timeout)

    def run_document(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        environment: str = "",
        timeout: float | None = None,
    ) -> Run:
        """As `run`, of a document that is not stored."""
        _check_timeout(timeout)
        started = self.runs.start_document(document, variables, environment=environment)
        return self._finish(started, timeout)

    def _finish(self, run: Run, timeout: float | None) -> Run:
        try:
            return self._wait(run, timeout)
        except CoordinatorError:
            raise
        except BaseException as interrupt:  # Ctrl-C, a test's timeout, or a cancelled task
            self._stop_after(interrupt, run.id)
            raise

    def _wait(self, run: Run, timeout: float | None) -> Run:
        try:
            return self.runs.wait(run.id, timeout=timeout)
        except WaitTimeoutError as error:
            if not self.runs.stop(run.id) and (ended := self.runs.get(run.id)).has_ended:
                return ended  # in the meantime
            ended = self.runs.wait(run.id)
            sentence = (
                f"Run {run.id} had not ended after {timeout:g} seconds and was stopped: {ended.verdict}."
            )
            raise WaitTimeoutError(sentence, ended) from error

    def _stop_after(self, interrupt: BaseException, run_id: str) -> None:
        try:
            self.runs.stop(run_id)
        except CoordinatorError as error:
            interrupt.add_note(f"Run {run_id} could not be stopped, and continues: {error}")

    def request(
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
        return self._transport.request(
            method, path, document=content or None, body=json, repeatable=False, headers=headers
        )

    def whoami(self) -> Identity:
        return parse(Identity, self._transport.json("GET", "whoami"))

    def get_version(self) -> str:
        """The coordinator's version, which needs no token."""
        return str(read_field(self._transport.json("GET", "health"), "version"))

    def find_problem(self, part: str) -> str:
        """The problem that `ready` reports for the part, for example "worker"; "" if none."""
        with self._transport.open(build_call("GET", "ready"), 30.0) as answer:
            content = answer.read()
        try:
            return str(loads(content)["parts"][part]["problem"])
        except (ValueError, RecursionError, KeyError, TypeError):
            return ""

    def get_global_stop(self) -> GlobalStop:
        return parse(GlobalStop, self._transport.json("GET", "stop"))

    def pull_global_stop(self, reason: str) -> int:
        """Stop all runs and let none begin; returns how many runs are being stopped."""
        done = self._transport.json("POST", "stop", body={"reason": reason})
        return int(read_field(done, "stopped_runs"))

    def release_global_stop(self) -> None:
        self._transport.json("DELETE", "stop")


def _check_timeout(timeout: object) -> None:
    """Before anything is started: a scenario may have a variable of this name."""
    if not (timeout is None or isinstance(timeout, int | float)):
        raise TypeError(
            f"'timeout' is a number of seconds, not {timeout!r}; give a variable of this name in a mapping."
        )
