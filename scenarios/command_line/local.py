"""This machine's coordinator, through the application functions."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, Subquery

from scenarios.command_line.coordinator import (
    CommandRefused,
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
from scenarios.command_line.local_registrations import LocalRegistrations
from scenarios.domain.errors import InvalidSchedule, ScenarioDeleted
from scenarios.domain.outcomes import RunState
from scenarios.domain.worker_commands import WORKER_COMMANDS
from scenarios.drivers import documents as drivers_documents
from scenarios.language.document import build_plan
from scenarios.library import imports, preflight, sync
from scenarios.library.dry_run import PlannedStep, list_steps
from scenarios.library.sync import CannotRemove, Change, NameTaken
from scenarios.models import Event, Fault, Heartbeat, Run, Scenario, Schedule
from scenarios.planning import schedules as planning_schedules
from scenarios.published.records import (
    EventRecord,
    FaultRecord,
    RunRecord,
    record_event,
    record_fault,
    record_run,
)
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop
from scenarios.runs.recovery import undo_now
from scenarios.suites.documents import read_any

WHO = "the command line"
DIGITS_OF_ID = 32
EVENTS_PER_PAGE = 500


class LocalCoordinator(LocalRegistrations):
    poll_seconds = 0.1

    # Scenarios

    def list_scenarios(self) -> list[ScenarioFacts]:
        newest = Run.objects.filter(scenario=OuterRef("pk")).order_by("-queued_at").values("pk")[:1]
        rows = list(Scenario.objects.defer("document").annotate(last=Subquery(newest)))
        runs = Run.objects.for_a_list().in_bulk([row.last for row in rows if row.last])
        return [_describe_scenario(row, runs.get(row.last)) for row in rows]

    def find_scenario(self, name: str) -> ScenarioFacts:
        row = _find_scenario(name)
        return _describe_scenario(row, row.runs.for_a_list().first(), document=row.document)

    def read_document(self, source: bytes, *, name: str = "") -> ReadDocument:
        found = imports.read_for_import(source, name=name)
        document = found.document
        return ReadDocument(
            document.name,
            document.source,
            found.left_out,
            found.is_translated,
            sync.find_subject(document),
        )

    def plan_changes(self, documents: Sequence[ReadDocument], *, prune: bool) -> list[Change]:
        parsed = [read_any(document.source) for document in documents]
        return sync.plan_changes(parsed, prune=prune)

    def store_documents(
        self, documents: Sequence[ReadDocument], *, prune: bool, only_new: Collection[str] = ()
    ) -> list[Change]:
        parsed = [read_any(document.source) for document in documents]
        try:
            return sync.sync_scenarios(parsed, prune=prune, only_new=only_new)
        except (CannotRemove, NameTaken) as error:
            raise CommandRefused(f"{error} Nothing was changed.") from error

    # Runs

    def list_steps(self, source: str, variables: Mapping[str, str]) -> list[PlannedStep]:
        return list(list_steps(build_plan(drivers_documents.read_document(source), variables)))

    def check_preflight(self, source: str, variables: Mapping[str, str]) -> Preflight:
        plan = build_plan(drivers_documents.read_document(source), variables)
        found = preflight.check_preflight(plan)
        return Preflight(found.refusals, found.unreachable, found.warnings, found.targets)

    def start_scenario(
        self, name: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord:
        stored = _find_scenario(name)
        try:
            run = run_commands.start_run(
                stored.document, variables, origin="cli", scenario=stored, wait=wait, priority=priority
            )
        except ScenarioDeleted as error:
            raise CommandRefused(str(error)) from error
        return record_run(run)

    def start_document(
        self, source: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord:
        # If the same document is stored under its name, the run belongs to that scenario.
        stored = Scenario.objects.filter(
            name=drivers_documents.read_document(source).name, document=source
        ).first()
        return record_run(
            run_commands.start_run(
                source, variables, origin="cli", scenario=stored, wait=wait, priority=priority
            )
        )

    def list_runs(self, which: RunFilter) -> list[RunRecord]:
        rows = Run.objects.select_related("started_by").defer("document")
        if which.scenario:
            rows = rows.filter(scenario_name=which.scenario)
        if which.status:
            field = "state" if which.status in set(RunState) else "outcome"
            rows = rows.filter(**{field: which.status})
        return [record_run(row) for row in rows[: which.limit]]

    def find_run_id(self, beginning: str) -> str:
        digits = beginning.replace("-", "").lower()
        try:
            first = UUID(digits.ljust(DIGITS_OF_ID, "0"))
            last = UUID(digits.ljust(DIGITS_OF_ID, "f"))
        except ValueError:
            raise RunNotFound(beginning) from None
        found = list(Run.objects.filter(id__range=(first, last)).values_list("id", flat=True)[:2])
        if len(found) != 1 or not digits:
            count = Run.objects.filter(id__range=(first, last)).count()
            raise RunNotFound(beginning, found=count)
        return str(found[0])

    def find_run(self, run_id: str) -> RunRecord:
        return record_run(_get_run(run_id))

    def list_events(self, run_id: str, after: int) -> list[EventRecord]:
        rows = Event.objects.filter(run_id=run_id, sequence__gt=after).order_by("sequence")
        return [record_event(row) for row in rows[:EVENTS_PER_PAGE]]

    def explain_missing_worker(self, run: RunRecord) -> str:
        if not Run.objects.queued().filter(id=run.id, waiting_for="").exists():
            return ""
        seen = Heartbeat.objects.filter(name="worker").first()
        when = f"the last one was seen at {seen.seen_at:%H:%M:%S}" if seen else "none has ever been seen"
        command = WORKER_COMMANDS[settings.TASK_BACKEND]
        return f"Still waiting for a worker ({when}); start one with 'manage.py {command}'."

    def stop_run(self, run_id: str) -> bool:
        return run_commands.request_stop(_get_run(run_id), by=WHO)

    def pull_global_stop(self, reason: str) -> int:
        return global_stop.pull_global_stop(by=WHO, reason=reason)

    def release_global_stop(self) -> bool:
        return global_stop.release_global_stop()

    def render_report(self, run_id: str, format_name: str) -> bytes:
        return render_report(_get_run(run_id), format_name)

    # Faults

    def list_faults(self, *, outstanding: bool, limit: int) -> list[FaultRecord]:
        rows = Fault.objects.outstanding() if outstanding else Fault.objects.all()
        rows = rows.select_related("run").defer("run__document", "run__variables")
        return [record_fault(row) for row in rows[:limit]]

    def undo_faults(self, run_id: str) -> list[FaultRecord]:
        run = _get_run(run_id)
        ended = undo_now(run)
        if ended is None:
            raise NothingToUndo(
                f"Run {run.id} is {run.verdict} (worker: {run.worker or 'none'}) and undoes its faults "
                f"when it ends; stop it with 'manage.py scenario stop {run.short_id}'."
            )
        left = Fault.objects.outstanding().filter(run=ended).select_related("run")
        return [record_fault(row) for row in left.order_by("-order")]

    # Schedules

    def list_schedules(self) -> list[ScheduleFacts]:
        return [_describe_schedule(row) for row in Schedule.objects.select_related("changed_by")]

    def pause_schedule(self, name: str, *, paused: bool) -> ScheduleFacts:
        rows = Schedule.objects.select_related("changed_by").filter(name=name)
        if (schedule := rows.first()) is None:
            raise ScheduleNotFound(name)
        try:
            planning_schedules.pause(schedule, paused=paused)
        except InvalidSchedule as error:
            raise CommandRefused(f"Schedule {name!r} cannot be resumed: {error}.") from error
        return _describe_schedule(rows.get())


def _find_scenario(name: str) -> Scenario:
    row = Scenario.objects.filter(name=name).first()
    if row is None:
        raise ScenarioNotFound(name, list(Scenario.objects.values_list("name", flat=True)))
    return row


def _get_run(run_id: str) -> Run:
    return Run.objects.select_related("started_by").get(id=run_id)


def _describe_scenario(row: Scenario, last: Run | None, *, document: str = "") -> ScenarioFacts:
    return ScenarioFacts(
        name=row.name,
        title=row.title,
        description=row.description,
        tags=row.tags,
        changed_at=row.changed_at,
        last_run=record_run(last).verdict if last else "",
        document=document,
    )


def _describe_schedule(row: Schedule) -> ScheduleFacts:
    return ScheduleFacts(
        name=row.name,
        scenario=row.scenario_name,
        cron=row.cron,
        time_zone=row.time_zone,
        paused=row.is_paused,
        next_at=row.next_at,
        changed_by=row.changed_by.get_username() if row.changed_by else "",
    )
