"""Another coordinator, through its API. Needs no database here."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from scenarios.command_line.answers import (
    parse_change,
    parse_event,
    parse_fault,
    parse_run,
    parse_scenario,
    parse_schedule,
    raise_document_errors,
    read_field,
)
from scenarios.command_line.coordinator import (
    CommandRefused,
    CoordinatorUnavailable,
    NothingToUndo,
    Preflight,
    ReadDocument,
    RunFilter,
    RunNotFound,
    ScenarioFacts,
    ScenarioNotFound,
    ScheduleFacts,
    ScheduleNotFound,
)
from scenarios.command_line.http_api import PAGE_SIZE, Refusal
from scenarios.command_line.remote_registrations import RemoteRegistrations
from scenarios.domain.errors import CannotBegin, InvalidDocument
from scenarios.domain.outcomes import STATES_TO_UNDO, RunState
from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan
from scenarios.language.experiments.translation import TranslationRefused, is_experiment, translate
from scenarios.language.yaml_tree import read_tree
from scenarios.library.dry_run import PlannedStep, list_steps
from scenarios.library.sync import Change
from scenarios.published.records import EventRecord, FaultRecord, RunRecord
from scenarios.suites.documents import is_suite

UNDO_POLL_SECONDS, MAX_UNDO_SECONDS = 0.5, 90.0
# The API validates a document under its own name; one without a name is invalid anyway.
UNNAMED = "unnamed"


class RemoteCoordinator(RemoteRegistrations):
    poll_seconds = 1.0

    # Scenarios

    def list_scenarios(self) -> list[ScenarioFacts]:
        rows = list(self._api.items("scenarios"))
        newest: dict[str, RunRecord] = {}
        for run in self.list_runs(RunFilter(limit=PAGE_SIZE)):
            newest.setdefault(run.scenario, run)
        return [parse_scenario(row, self._find_last_run(row["name"], newest)) for row in rows]

    def _find_last_run(self, name: str, newest: Mapping[str, RunRecord]) -> RunRecord | None:
        """Look in the newest runs first, then ask for the scenario's."""
        found = newest.get(name)
        return found or next(iter(self.list_runs(RunFilter(scenario=name, limit=1))), None)

    def find_scenario(self, name: str) -> ScenarioFacts:
        row = self._fetch_scenario(name)
        return parse_scenario(row, next(iter(self.list_runs(RunFilter(scenario=name, limit=1))), None))

    def _fetch_scenario(self, name: str) -> Any:
        try:
            return self._api.json("GET", f"scenarios/{_quote(name)}")
        except Refusal as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ScenarioNotFound(name, self._list_names()) from None
            raise

    def _list_names(self) -> list[str]:
        return [read_field(row, "name") for row in self._api.items("scenarios")]

    def read_document(self, source: bytes, *, name: str = "") -> ReadDocument:
        if is_suite(source):
            return ReadDocument(self._check_document(source, "suites"), source.decode(), subject="suite")
        if not is_experiment(source):
            return ReadDocument(self._check_document(source), source.decode())
        translation = translate(source, name=name)
        try:
            own_name = self._check_document(translation.source.encode())
        except InvalidDocument as error:
            raise TranslationRefused(error.problems, translation) from error
        return ReadDocument(own_name, translation.source, translation.left_out, is_translated=True)

    def _check_document(self, source: bytes, kinds: str = "scenarios") -> str:
        with_name = read_tree(source).plain()
        metadata = with_name.get("metadata") if isinstance(with_name, dict) else None
        name = str(metadata.get("name") or UNNAMED) if isinstance(metadata, dict) else UNNAMED
        with raise_document_errors():
            answer = self._api.json("POST", f"{kinds}/{_quote(name)}/validate", **_build_yaml_request(source))
        return str(read_field(answer, "name"))

    def plan_changes(self, documents: Sequence[ReadDocument], *, prune: bool) -> list[Change]:
        """One request, however many scenarios are stored."""
        body = {"documents": [document.source for document in documents], "prune": prune, "check": True}
        after = {(document.subject, document.name): document.source for document in documents}
        answer = self._api.json("POST", "import", json=body)
        return [parse_change(row, after) for row in read_field(answer, "changes")]

    def store_documents(
        self, documents: Sequence[ReadDocument], *, prune: bool, only_new: Collection[str] = ()
    ) -> list[Change]:
        """One request, so that all are stored or none."""
        body: dict[str, Any] = {"documents": [document.source for document in documents], "prune": prune}
        if only_new:
            body["only_new"] = sorted(only_new)
        try:
            answer = self._api.json("POST", "import", json=body)
        except CoordinatorUnavailable as error:
            raise CommandRefused(
                f"{error} Everything is stored by now, or nothing: check with 'import --check', or simply "
                "import again."
            ) from error
        after = {(document.subject, document.name): document.source for document in documents}
        return [parse_change(row, after) for row in read_field(answer, "changes")]

    # Runs

    def list_steps(self, source: str, variables: Mapping[str, str]) -> list[PlannedStep]:
        """With the drivers and settings of this machine."""
        return list(list_steps(build_plan(read_document(source), variables)))

    def check_preflight(self, source: str, variables: Mapping[str, str]) -> Preflight:
        del source, variables
        raise CommandRefused(
            "'--live' does not work with '--server', because only the coordinator's own machine can check "
            "what a run would meet there."
        )

    def start_scenario(
        self, name: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord:
        body = _build_run_request(variables, wait=wait, priority=priority)
        try:
            return self._request_run(f"scenarios/{_quote(name)}/runs", body)
        except Refusal as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ScenarioNotFound(name, self._list_names()) from None
            raise

    def start_document(
        self, source: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord:
        return self._request_run(
            "runs", {"document": source, **_build_run_request(variables, wait=wait, priority=priority)}
        )

    def _request_run(self, path: str, body: Mapping[str, Any]) -> RunRecord:
        try:
            with raise_document_errors():
                return parse_run(self._api.json("POST", path, json=body))
        except Refusal as error:
            if error.status == HTTPStatus.CONFLICT:
                raise CannotBegin(str(error)) from error
            raise

    def list_runs(self, which: RunFilter) -> list[RunRecord]:
        filters = {"scenario": which.scenario, "status": which.status}
        parameters: dict[str, Any] = {name: value for name, value in filters.items() if value}
        if which.status == RunState.FINISHED:
            del parameters["status"]  # the API filters by outcome, not by having ended
            rows = map(parse_run, self._api.items("runs", **parameters))
            ended = (run for run in rows if run.has_ended)
            return [run for run, _ in zip(ended, range(which.limit), strict=False)]
        return [parse_run(row) for row in self._api.items("runs", limit=which.limit, **parameters)]

    def find_run_id(self, beginning: str) -> str:
        try:
            found = [parse_run(row).id for row in self._api.items("runs", limit=2, id=beginning.lower())]
        except Refusal as error:
            if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
                raise RunNotFound(beginning) from None  # not the beginning of an id
            raise
        if len(found) != 1:
            raise RunNotFound(beginning, found=len(found))
        return found[0]

    def find_run(self, run_id: str) -> RunRecord:
        return parse_run(self._api.json("GET", f"runs/{run_id}"))

    def list_events(self, run_id: str, after: int) -> list[EventRecord]:
        return [
            parse_event(row) for row in self._api.items(f"runs/{run_id}/events", limit=PAGE_SIZE, after=after)
        ]

    def explain_missing_worker(self, run: RunRecord) -> str:
        if run.waiting_for:
            return ""
        problem = self._api.find_problem("worker")
        return f"Still waiting for a worker: {problem}" if problem else ""

    def stop_run(self, run_id: str) -> bool:
        return bool(read_field(self._api.json("POST", f"runs/{run_id}/stop"), "stopping"))

    def pull_global_stop(self, reason: str) -> int:
        return int(read_field(self._api.json("POST", "stop", json={"reason": reason}), "stopped_runs"))

    def release_global_stop(self) -> bool:
        was_pulled = bool(read_field(self._api.json("GET", "stop"), "pulled"))
        self._api.json("DELETE", "stop")
        return was_pulled

    def render_report(self, run_id: str, format_name: str) -> bytes:
        return self._api.fetch_content(f"runs/{run_id}/report", format=format_name)

    # Faults

    def list_faults(self, *, outstanding: bool, limit: int) -> list[FaultRecord]:
        more: dict[str, Any] = {"outstanding": "true"} if outstanding else {}
        return [parse_fault(row) for row in self._api.items("faults", limit=limit, **more)]

    def undo_faults(self, run_id: str) -> list[FaultRecord]:
        """The watchdog there does it; wait until it has tried each fault."""
        run = self.find_run(run_id)
        if not run.has_ended:
            raise NothingToUndo(
                f"Run {run.id} is {run.verdict} and undoes its faults when it ends; stop it with "
                f"'manage.py scenario stop {run.short_id}'."
            )
        tried = {row["id"]: row["undo_tries"] for row in self._list_outstanding(run_id) if _is_injected(row)}
        for key in tried:
            self._api.json("POST", f"faults/{key}/retry")
        until = time.monotonic() + MAX_UNDO_SECONDS
        while left := list(self._list_outstanding(run_id)):
            waiting = [row for row in left if _is_injected(row)]
            has_tried = all(row["undo_tries"] > tried.get(row["id"], 0) for row in waiting)
            if has_tried or time.monotonic() > until:
                break
            time.sleep(UNDO_POLL_SECONDS)
        return [parse_fault(row) for row in left]

    def _list_outstanding(self, run_id: str) -> Iterator[Any]:
        return self._api.items("faults", run=run_id, outstanding="true")

    # Schedules

    def list_schedules(self) -> list[ScheduleFacts]:
        return [parse_schedule(row) for row in self._api.items("schedules")]

    def pause_schedule(self, name: str, *, paused: bool) -> ScheduleFacts:
        try:
            done = self._api.json("POST", f"schedules/{_quote(name)}/{'pause' if paused else 'resume'}")
        except Refusal as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise ScheduleNotFound(name) from None
            raise
        return parse_schedule(done)


def _is_injected(row: Any) -> bool:
    return read_field(row, "state") in STATES_TO_UNDO


def _quote(name: str) -> str:
    """Escape a name as one segment of a path."""
    return quote(name, safe="")


def _build_yaml_request(source: bytes) -> dict[str, Any]:
    return {"data": source, "headers": {"Content-Type": "application/yaml"}}


def _build_run_request(variables: Mapping[str, str], *, wait: bool, priority: int) -> dict[str, Any]:
    """Leaves out a default priority, because older coordinators know none."""
    body: dict[str, Any] = {"variables": dict(variables), "wait": wait}
    return {**body, "priority": priority} if priority else body
