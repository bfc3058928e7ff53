"""This machine's coordinator, through the application functions."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.conf import settings

from coordinator_client.command_line.coordinator import (
    LATEST,
    BeingDeleted,
    CommandRefused,
    FaultFilter,
    NoRunNamed,
    NotFound,
    NothingToUndo,
    ReadDocument,
    RunAmbiguous,
    RunFilter,
    RunNotFound,
)
from coordinator_client.exchanges import Response
from coordinator_client.parsing import parse
from coordinator_client.records import (
    Change,
    Deletion,
    Event,
    Fault,
    PlannedRun,
    Run,
    RunComparison,
    Scenario,
    Version,
)
from scenarios import models
from scenarios.command_line.local_allow_lists import LocalAllowLists
from scenarios.command_line.local_decisions import LocalDecisions
from scenarios.command_line.local_deletions import describe_deletion, withdraw_deletion
from scenarios.command_line.local_editing import LocalEditing
from scenarios.command_line.local_environments import LocalEnvironments
from scenarios.command_line.local_errors import describe_left_out, explain_errors
from scenarios.command_line.local_feed import LocalFeed
from scenarios.command_line.local_registrations import LocalRegistrations
from scenarios.command_line.local_rows import describe_run, find_scenario, get_run, matches, select_runs
from scenarios.command_line.local_starts import LocalStarts
from scenarios.command_line.local_suites import LocalSuites
from scenarios.domain import errors
from scenarios.domain.outputs import make_storable
from scenarios.domain.worker_commands import WORKER_COMMANDS
from scenarios.drivers import documents as drivers_documents
from scenarios.library import imports, preflight, sync
from scenarios.library.compared_runs import choose_other, compare_runs, list_candidates
from scenarios.library.dry_run import list_steps
from scenarios.library.last_runs import find_last_runs
from scenarios.library.sync import CannotRemove, NameTaken
from scenarios.library.versions import CHANGES, find_present_key
from scenarios.published.records import (
    format_time,
    json_fields,
    record_event,
    record_fault,
    record_last_run,
)
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop
from scenarios.runs.environments import plan_in
from scenarios.runs.recovery import undo_now
from scenarios.suites.documents import read_any

WHO = "the command line"
DIGITS_OF_ID = 32
EVENTS_PER_PAGE = 500


POLL_SECONDS = 0.1


class LocalCoordinator(
    LocalStarts,
    LocalRegistrations,
    LocalEnvironments,
    LocalAllowLists,
    LocalDecisions,
    LocalEditing,
    LocalFeed,
    LocalSuites,
):
    place = "this machine"

    def close(self) -> None:
        """The connection to the database belongs to Django."""

    def request(self, *_what: Any, **_more: Any) -> Response:
        hint = "give '--server URL' or '--profile NAME'"
        raise CommandRefused(f"'api' asks a coordinator over its API; {hint}.")

    # Scenarios

    def read_version(self) -> str:
        return str(settings.SERVICE_VERSION)

    def list_scenarios(self, tag: str = "", text: str = "", limit: int | None = None) -> list[Scenario]:
        rows = models.Scenario.objects.select_related("changed_by").defer("document")
        found = [row for row in rows if matches(row, tag, text)][:limit]
        last = find_last_runs(found)
        return [_describe_scenario(row, last.get(row.pk)) for row in found]

    def find_scenario(self, name: str) -> Scenario:
        row = find_scenario(name)
        return _describe_scenario(row, find_last_runs([row]).get(row.pk), document=row.document)

    def delete_scenario(self, name: str) -> Deletion | None:
        try:
            requested = sync.remove_scenario(find_scenario(name).name)
        except CannotRemove as error:
            raise CommandRefused(str(error)) from error
        return describe_deletion(requested)

    def keep_scenario(self, name: str) -> Deletion:
        return withdraw_deletion(find_scenario(name))

    def list_versions(self, name: str, limit: int) -> list[Version]:
        scenario = find_scenario(name)
        rows = scenario.history.select_related("history_user").order_by("-history_id")
        newest, present = rows.count(), find_present_key(scenario)
        return [_describe_version(row, newest - place, present) for place, row in enumerate(rows[:limit])]

    def find_version(self, name: str, version: int) -> Version:
        scenario = find_scenario(name)
        rows = scenario.history.select_related("history_user").order_by("history_id")
        if version < 1 or not (found := list(rows[version - 1 : version])):
            raise NotFound(f"Scenario {name!r} has no version {version!r}.")
        present = find_present_key(scenario)
        return _describe_version(found[0], version, present, document=found[0].document)

    def read_document(self, source: bytes, *, name: str = "") -> ReadDocument:
        with explain_errors():
            found = imports.read_for_import(source, name=name)
        document, left_out = found.document, describe_left_out(found.left_out)
        subject = sync.find_subject(document)
        return ReadDocument(document.name, document.source, left_out, found.is_translated, subject)

    def plan_changes(self, documents: Sequence[ReadDocument], *, prune: bool) -> list[Change]:
        with explain_errors():
            parsed = [read_any(document.source) for document in documents]
        return [_describe_change(change) for change in sync.plan_changes(parsed, prune=prune)]

    def store_documents(
        self, documents: Sequence[ReadDocument], *, prune: bool, only_new: Collection[str] = ()
    ) -> list[Change]:
        with explain_errors():
            parsed = [read_any(document.source) for document in documents]
        try:
            done = sync.sync_scenarios(parsed, prune=prune, only_new=only_new)
        except errors.BeingDeleted as error:
            raise BeingDeleted(f"{error} Nothing was changed.") from error
        except (CannotRemove, NameTaken) as error:
            raise CommandRefused(f"{error} Nothing was changed.") from error
        return [_describe_change(change) for change in done]

    # Runs

    def plan_run(self, source: str, variables: Mapping[str, str], *, environment: str = "") -> PlannedRun:
        with explain_errors():
            plan = plan_in(drivers_documents.read_document(source), variables, environment)
            found = preflight.check_preflight(plan, environment)
            steps = [asdict(step) for step in list_steps(plan)]
        return parse(PlannedRun, {"steps": steps, **asdict(found)})

    def list_runs(self, which: RunFilter) -> list[Run]:
        return [describe_run(row) for row in select_runs(which)]

    def find_run_id(self, beginning: str) -> str:
        if beginning == LATEST and (newest := self.list_runs(RunFilter(limit=1))):
            return newest[0].id
        digits = beginning.replace("-", "").lower()
        if not digits:
            raise NoRunNamed
        try:
            first = UUID(digits.ljust(DIGITS_OF_ID, "0"))
            last = UUID(digits.ljust(DIGITS_OF_ID, "f"))
        except ValueError:
            raise RunNotFound(beginning) from None
        found = list(models.Run.objects.filter(id__range=(first, last)).values_list("id", flat=True)[:2])
        if not found:
            raise RunNotFound(beginning)
        if len(found) > 1:
            raise RunAmbiguous(beginning)
        return str(found[0])

    def find_run(self, run_id: str) -> Run:
        return describe_run(get_run(run_id))

    def watch(self, run_id: str, after: int, until: float | None = None) -> Iterator[Event | None]:
        del until  # it yields None often anyway
        while True:
            # The run is read before its events, so that none of the last ones is missed.
            run = self.find_run(run_id)
            rows = models.Event.objects.filter(run_id=run_id, sequence__gt=after).order_by("sequence")
            new = [parse(Event, json_fields(record_event(row))) for row in rows[:EVENTS_PER_PAGE]]
            for event in new:
                after = event.sequence
                yield event
            if not new:
                if run.has_ended:
                    return
                yield None
                time.sleep(POLL_SECONDS)

    def explain_missing_worker(self, run: Run) -> str:
        if not models.Run.objects.queued().filter(id=run.id, waiting_for="").exists():
            return ""
        seen = models.Heartbeat.objects.filter(name="worker").first()
        when = f"the last one was seen at {seen.seen_at:%H:%M:%S}" if seen else "none has ever been seen"
        command = WORKER_COMMANDS[settings.TASK_BACKEND]
        return f"Still waiting for a worker ({when}); start one with 'manage.py {command}'."

    def stop_run(self, run_id: str, reason: str = "") -> bool:
        return run_commands.request_stop(get_run(run_id), by=WHO, reason=str(make_storable(reason)))

    def pull_global_stop(self, reason: str) -> int:
        return global_stop.pull_global_stop(by=WHO, reason=reason)

    def release_global_stop(self) -> bool:
        return global_stop.release_global_stop()

    def compare_runs(self, run_id: str, other_id: str) -> RunComparison:
        run = get_run(run_id)
        other = get_run(other_id) if other_id else choose_other(run, list_candidates(run))
        if other is None:
            raise NotFound("There is no other run of this scenario to compare with.")
        return parse(RunComparison, compare_runs(run, other).list_fields())

    def render_report(self, run_id: str, format_name: str) -> bytes:
        return render_report(get_run(run_id), format_name)

    # Faults

    def list_faults(self, which: FaultFilter) -> list[Fault]:
        rows = models.Fault.objects.outstanding() if which.outstanding else models.Fault.objects.all()
        rows = rows.select_related("run").defer("run__document", "run__included", "run__variables")
        conditions = {"run_id": which.run, "service": which.service}
        rows = rows.filter(**{field: value for field, value in conditions.items() if value})
        return [_describe_fault(row) for row in rows[: which.limit]]

    def undo_faults(self, run_id: str) -> list[Fault]:
        run = get_run(run_id)
        ended = undo_now(run)
        if ended is None:
            raise NothingToUndo(
                f"Run {run.id} is {run.verdict} (worker: {run.worker or 'none'}) and undoes its faults "
                f"when it ends; stop it with 'manage.py scenario stop {run.short_id}'."
            )
        left = models.Fault.objects.outstanding().filter(run=ended).select_related("run")
        return [_describe_fault(row) for row in left.order_by("-order")]


def _describe_fault(row: models.Fault) -> Fault:
    return parse(Fault, json_fields(record_fault(row)))


def _describe_scenario(row: models.Scenario, last: models.Run | None, *, document: str = "") -> Scenario:
    fields: dict[str, Any] = {
        "name": row.name,
        "title": row.title,
        "description": row.description,
        "tags": row.tags,
        "created_at": format_time(row.created_at),
        "changed_at": format_time(row.changed_at),
        "changed_by": row.changed_by.get_username() if row.changed_by else None,
        "last_run": json_fields(record_last_run(last)) if last else None,
    }
    return parse(Scenario, {**fields, "document": document} if document else fields)


def _describe_version(row: Any, version: int, present: int | None, *, document: str = "") -> Version:
    fields = {
        "version": version,
        "at": format_time(row.history_date),
        "by": row.history_user.get_username() if row.history_user else None,
        "current": row.history_id == present,
        "change": CHANGES[row.history_type],
    }
    return parse(Version, {**fields, "document": document} if document else fields)


def _describe_change(change: sync.Change) -> Change:
    fields = {"name": change.name, "change": change.kind, "before": change.before}
    return parse(Change, {**fields, "subject": change.subject})
