"""Another coordinator, through its API."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from coordinator_client.command_line.coordinator import (
    LATEST,
    CommandRefused,
    FaultFilter,
    NoRunNamed,
    NothingToUndo,
    ReadDocument,
    RunAmbiguous,
    RunFilter,
    RunNotFound,
    ScenarioNotFound,
    Start,
    TranslationRefused,
)
from coordinator_client.command_line.feeds import FeedFilter
from coordinator_client.command_line.remote_allow_lists import RemoteAllowLists
from coordinator_client.command_line.remote_decisions import RemoteDecisions
from coordinator_client.command_line.remote_editing import RemoteEditing
from coordinator_client.command_line.remote_environments import RemoteEnvironments
from coordinator_client.command_line.remote_registrations import RemoteRegistrations, explain_fields
from coordinator_client.command_line.remote_suites import RemoteSuites
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import (
    InvalidDocumentError,
    InvalidRequestError,
    NotFoundError,
    NotSupportedError,
    NotUnderstoodError,
    UnavailableError,
)
from coordinator_client.exchanges import Response
from coordinator_client.following import FollowedFeed, FollowedRun
from coordinator_client.parsing import parse
from coordinator_client.records import (
    STATES_TO_UNDO,
    Change,
    Deletion,
    Event,
    Fault,
    FeedEvent,
    LastRun,
    PlannedRun,
    Record,
    Run,
    RunComparison,
    Scenario,
    Version,
)
from coordinator_client.synchronous.client import Client

UNDO_POLL_SECONDS, MAX_UNDO_SECONDS = 0.5, 90.0
# How long a stream lasts while the run has not begun: in between, the reason why it waits may change.
WAITING_LOOK_SECONDS = 1.0
# The API validates a document under its own name; one without a name is invalid anyway.
UNNAMED = "unnamed"
EXPERIMENT_WORDS = {"method", "steady-state-hypothesis"}


class RemoteCoordinator(
    RemoteRegistrations, RemoteEnvironments, RemoteAllowLists, RemoteDecisions, RemoteEditing, RemoteSuites
):
    def __init__(self, client: Client, token_source: str = "") -> None:
        """`token_source` says where the token comes from, for a coordinator that does not accept it."""
        self._client = client
        self.place = client.server
        self.token_source = token_source

    def close(self) -> None:
        self._client.close()

    def request(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str]
    ) -> Response:
        return self._client.request(method, path, content=content, headers=headers)

    # Scenarios

    def read_version(self) -> str:
        return self._client.get_version()

    def list_scenarios(self, tag: str = "", text: str = "", limit: int | None = None) -> list[Scenario]:
        found = self._client.scenarios.list(tag=tag, text=text, limit=limit)
        return [self._add_last_run(scenario) for scenario in found]

    def _add_last_run(self, scenario: Scenario) -> Scenario:
        """A coordinator of 0.1.0 does not say how a scenario ran last: ask for its newest run."""
        if "last_run" in scenario.raw:
            return scenario
        newest = next(iter(self._client.runs.list(scenario=scenario.name, limit=1)), None)
        last = None if newest is None else parse(LastRun, _select_fields(LastRun, newest.raw))
        raw = {**scenario.raw, "last_run": last and last.raw}
        return replace(scenario, last_run=last, raw=raw)

    def find_scenario(self, name: str) -> Scenario:
        try:
            return self._add_last_run(self._client.scenarios.get(name))
        except NotFoundError:
            raise ScenarioNotFound(name, self._list_names()) from None

    def _list_names(self) -> list[str]:
        return [scenario.name for scenario in self._client.scenarios.list()]

    def delete_scenario(self, name: str) -> Deletion | None:
        try:
            return self._client.scenarios.delete(name)
        except NotFoundError:
            raise ScenarioNotFound(name, self._list_names()) from None

    def keep_scenario(self, name: str) -> Deletion:
        try:
            return self._client.scenarios.withdraw_deletion(name)
        except NotSupportedError:
            raise
        except NotFoundError:
            if name in (stored := self._list_names()):
                raise
            raise ScenarioNotFound(name, stored) from None

    def list_versions(self, name: str, limit: int) -> Sequence[Version]:
        try:
            return self._client.scenarios.list_versions(name, limit=limit)
        except NotSupportedError:
            raise
        except NotFoundError:
            raise ScenarioNotFound(name, self._list_names()) from None

    def find_version(self, name: str, version: int) -> Version:
        return self._client.scenarios.get_version(name, version)

    def read_document(self, source: bytes, *, name: str = "") -> ReadDocument:
        from difflib import get_close_matches  # noqa: PLC0415 - slow, and not for other verbs

        found_fields = _read_fields(source)
        if get_close_matches(str(found_fields.get("kind", "")), ["Suite"]):  # perhaps misspelt
            name = self._check_document(source, found_fields, subject="suite")
            return ReadDocument(name, source.decode(), subject="suite")
        if "apiVersion" in found_fields or not EXPERIMENT_WORDS & found_fields.keys():
            return ReadDocument(self._check_document(source, found_fields), source.decode())
        found = self._client.scenarios.translate(source, name=name)
        translated = found.document.encode()
        try:
            own_name = self._check_document(translated, _read_fields(translated))
        except InvalidDocumentError as error:
            raise TranslationRefused(error.problems, found.left_out) from error
        return ReadDocument(own_name, found.document, tuple(found.left_out), is_translated=True)

    def _check_document(self, source: bytes, words: Mapping[Any, Any], *, subject: str = "scenario") -> str:
        metadata = words.get("metadata")
        name = str(metadata.get("name") or UNNAMED) if isinstance(metadata, dict) else UNNAMED
        return self._client.scenarios.validate(name, source, subject=subject)

    def plan_changes(self, documents: Sequence[ReadDocument], *, prune: bool) -> Sequence[Change]:
        """One request, however many scenarios are stored."""
        sources = [document.source for document in documents]
        return _check_kinds(self._client.scenarios.import_documents(sources, prune=prune, check=True))

    def store_documents(
        self, documents: Sequence[ReadDocument], *, prune: bool, only_new: Collection[str] = ()
    ) -> Sequence[Change]:
        """One request, so that all are stored or none."""
        sources = [document.source for document in documents]
        try:
            done = self._client.scenarios.import_documents(sources, prune=prune, only_new=only_new)
        except UnavailableError as error:
            raise CommandRefused(
                f"{error} Either everything was stored, or nothing: check with 'import --check', or simply "
                "import again."
            ) from error
        return _check_kinds(done)

    # Runs

    def plan_run(self, source: str, variables: Mapping[str, str], *, environment: str = "") -> PlannedRun:
        with explain_fields():
            return self._client.scenarios.plan(source, variables, environment=environment)

    def start_scenario(self, name: str, variables: Mapping[str, str], how: Start) -> Run:
        try:
            with explain_fields():
                return self._client.runs.start(name, variables, **asdict(how))
        except NotFoundError:
            raise ScenarioNotFound(name, self._list_names()) from None

    def start_document(self, source: str, variables: Mapping[str, str], how: Start) -> Run:
        with explain_fields():
            return self._client.runs.start_document(source, variables, **asdict(how))

    def list_runs(self, which: RunFilter) -> Sequence[Run]:
        names = ("scenario", "environment", "rollback", "by")
        filters: dict[str, Any] = {name: getattr(which, name) for name in names}
        for name, moment in (("since", which.since), ("until", which.until)):
            filters[name] = moment.isoformat() if moment else ""
        if which.status == "finished":  # the API filters by outcome, not by having ended
            found = self._client.runs.list(**filters)
            return [run for run in found if run.has_ended][: which.limit]
        return self._client.runs.list(**filters, status=which.status, limit=which.limit)

    def find_run_id(self, beginning: str) -> str:
        if not beginning:
            raise NoRunNamed
        try:
            prefix, limit = ("", 1) if beginning == LATEST else (beginning.lower(), 2)
            found = self._client.runs.list(id_prefix=prefix, limit=limit)
        except InvalidRequestError:
            raise RunNotFound(beginning) from None  # not the beginning of an id
        if not found:
            raise RunNotFound(beginning)
        if len(found) > 1:
            raise RunAmbiguous(beginning)
        return found[0].id

    def find_run(self, run_id: str) -> Run:
        return self._client.runs.get(run_id)

    def watch(self, run_id: str, after: int, until: float | None = None) -> Iterator[Event | None]:
        followed = FollowedRun(run_id, after)
        begun_at = after
        while not followed.has_ended:
            has_begun = followed.last > begun_at
            next_look = until if has_begun else time.monotonic() + WAITING_LOOK_SECONDS
            yield from self._client.runs.watch(followed, until=next_look)
            if next_look is not None and not followed.has_ended:
                yield None

    def explain_missing_worker(self, run: Run) -> str:
        if run.waiting_for:
            return ""
        problem = self._client.find_problem("worker")
        return f"Still waiting for a worker: {problem}" if problem else ""

    def stop_run(self, run_id: str, reason: str = "") -> bool:
        return self._client.runs.stop(run_id, reason)

    def pull_global_stop(self, reason: str) -> int:
        return self._client.pull_global_stop(reason)

    def release_global_stop(self) -> bool:
        was_pulled = self._client.get_global_stop().pulled
        self._client.release_global_stop()
        return was_pulled

    def compare_runs(self, run_id: str, other_id: str) -> RunComparison:
        return self._client.runs.compare(run_id, other_id)

    def render_report(self, run_id: str, format_name: str) -> bytes:
        return self._client.runs.report(run_id, format_name)

    def watch_events(self, which: FeedFilter, after: str) -> Iterator[FeedEvent | None]:
        with explain_fields():
            yield from self._client.events.watch(
                FollowedFeed(after), scenario=which.scenario, kinds=which.kinds, outcome=which.outcome
            )

    # Faults

    def list_faults(self, which: FaultFilter) -> Sequence[Fault]:
        return self._client.faults.list(
            outstanding=which.outstanding, run=which.run, service=which.service, limit=which.limit
        )

    def undo_faults(self, run_id: str) -> Sequence[Fault]:
        """The watchdog there does it; wait until it has tried each fault."""
        run = self.find_run(run_id)
        if not run.has_ended:
            raise NothingToUndo(
                f"Run {run.id} is {run.verdict} and undoes its faults when it ends; stop it with "
                f"{quote_command(f'stop {run.short_id}')}."
            )
        tried = {fault.id: fault.undo_tries for fault in self._list_left(run_id) if _is_injected(fault)}
        for key in tried:
            self._client.faults.retry(key)
        until = time.monotonic() + MAX_UNDO_SECONDS
        while left := self._list_left(run_id):
            waiting = [fault for fault in left if _is_injected(fault)]
            has_tried = all(fault.undo_tries > tried.get(fault.id, 0) for fault in waiting)
            if has_tried or time.monotonic() > until:
                break
            time.sleep(UNDO_POLL_SECONDS)
        return left

    def _list_left(self, run_id: str) -> Sequence[Fault]:
        return self._client.faults.list(run=run_id, outstanding=True)


def _select_fields(kind: type[Record], row: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind) if field.name in row}


def _is_injected(fault: Fault) -> bool:
    return fault.state in STATES_TO_UNDO


def _check_kinds(changes: Sequence[Change]) -> Sequence[Change]:
    if any(change.change not in {"new", "changed", "unchanged", "removed"} for change in changes):
        raise NotUnderstoodError("change")
    return changes


def _read_fields(source: bytes) -> Mapping[Any, Any]:
    """The document's fields; none if it is not YAML, because the coordinator says better what is wrong."""
    import yaml  # noqa: PLC0415 - only where it is needed

    try:
        found = yaml.load(source, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
