"""Starts and stops runs, for every entrance: admin, API, command line, schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from scenarios.domain.errors import BeingDeleted, CannotBegin, ScenarioDeleted
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import ApprovalState, Outcome, Rollback, RunState
from scenarios.domain.plan import Plan
from scenarios.drivers.documents import read_document, read_included
from scenarios.language.document import Document, build_plan
from scenarios.language.variables import read_given
from scenarios.models import Approval, DeletionRequest, GlobalStop, Run, RunCharts, Scenario, Schedule
from scenarios.ports import Event
from scenarios.runs import admission, approval_gate
from scenarios.runs.environments import add_values, check_services, read_environment
from scenarios.runs.events import take_numbers, write_event
from scenarios.runs.task_queue import enqueue_run, enqueue_waiting_runs

# Characters of the column that names who has stopped a run, and why.
MAX_STOPPER = 200


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What a schedule says of a run that it starts; `approval` is its own, where it needed one."""

    schedule: Schedule
    begin_before: datetime | None = None
    approval: Approval | None = None


def start_run(
    source: str,
    variables: Mapping[str, Any],
    *,
    origin: str,
    scenario: Scenario | None = None,
    by: User | None = None,
    wait: bool = True,
    priority: int = 0,
    environment: str = "",
) -> Run:
    """Write the run's row, and enqueue it. The row is the truth; the queue only wakes a worker.

    `scenario` is the stored scenario with this document, if there is one. If the run cannot begin now,
    because another run holds a service that it touches, or because a second person must approve it, it waits;
    without `wait`, it is refused. Of the runs that wait, those with a higher `priority` (-100 to 100) begin
    first. In an `environment`, services have the addresses that it names, and variables without a given value
    have its values.

    Raises:
        UnknownEnvironment: there is no such environment, or it lacks a service of the document.
        CannotBegin: something keeps it from beginning, without `wait`.
        InvalidDocument: the document does not fit the installed drivers.
        InvalidVariables: a value is missing, unknown, or of the wrong kind.
        ScenarioDeleted: `scenario` is no longer stored, or is being deleted.
    """
    document = read_document(source)
    included = read_included(document)
    if included:
        document = read_document(source, included)
    place = read_environment(environment)
    values = add_values(document, variables, place)
    plan = build_plan(document, values)
    check_services(plan, place)
    targets = admission.collect_targets(approval_gate.list_acting_steps(plan), environment)
    run = Run(
        scenario=scenario,
        scenario_name=document.name,
        document=document.source,
        included=included or None,
        variables=read_given(document.variables, values),
        environment=environment,
        services=approval_gate.find_touched_services(plan, environment),
        targets=targets.as_json(),
        started_by=by,
        started_from=origin,
        priority=priority,
    )
    with transaction.atomic():
        if not wait and (obstacle := admission.find_obstacle(run, admission.lock_admission())):
            raise CannotBegin(f"{document.name!r} cannot begin now: {obstacle}.")
        _refuse_deleted(scenario)
        if stop := GlobalStop.objects.filter(pulled_at__isnull=False).first():
            run.waiting_for = admission.describe_stop(stop)[:500]
        _save_run(run)
        _enqueue_or_ask(run, admission.find_unapproved(run))
    return run


def _save_run(run: Run) -> None:
    run.save(force_insert=True)
    RunCharts.objects.create(run=run)


def _enqueue_or_ask(run: Run, unapproved: list[str]) -> None:
    if unapproved:
        approval_gate.ask_for_run(run, unapproved)
    else:
        transaction.on_commit(lambda: enqueue_run(run))


def start_scheduled_run(
    document: Document,
    plan: Plan,
    scheduled: Scheduled,
    *,
    scenario: Scenario,
    variables: Mapping[str, Any],
    services: list[str],
    protected: list[str],
) -> Run:
    """As `start_run`, for a document that was read already, with what it touches.

    Must be called in a transaction that has locked the scenario's row, so that nobody can delete it.
    """
    schedule = scheduled.schedule
    run = Run(
        scenario=scenario,
        scenario_name=document.name,
        document=document.source,
        included=read_included(document) or None,
        variables=read_given(document.variables, variables),
        environment=schedule.environment,
        services=services,
        targets=admission.collect_targets(
            approval_gate.list_acting_steps(plan), schedule.environment
        ).as_json(),
        started_by=schedule.changed_by,
        started_from="schedule",
        priority=schedule.priority,
        schedule=schedule,
        begin_before=scheduled.begin_before,
        enqueued_at=None if protected else timezone.now(),
    )
    _save_run(run)
    if scheduled.approval:
        approval_gate.cover_by_schedule(run, scheduled.approval)
    _enqueue_or_ask(run, admission.find_unapproved(run) if protected else [])
    return run


def _refuse_deleted(scenario: Scenario | None) -> None:
    """Keep the scenario from being deleted until the transaction ends.

    Without the lock, the database would refuse the run only at the commit, as a broken foreign key.

    Raises:
        ScenarioDeleted: it is no longer stored.
        BeingDeleted: its deletion has been requested.
    """
    if scenario is None:
        return
    locked = Scenario.objects.select_for_update(no_key=True).filter(pk=scenario.pk)
    requested = Exists(DeletionRequest.objects.filter(scenario=OuterRef("pk")))
    is_being_deleted = locked.values_list(requested, flat=True).first()
    if is_being_deleted is None:
        raise ScenarioDeleted(scenario.name)
    if is_being_deleted:
        raise BeingDeleted(scenario.name)


def request_stop(run: Run, *, by: str, reason: str = "") -> bool:
    """Ask for the run's end, `aborted`. Returns False if it has ended already.

    One that has not begun ends at once; a running one when its worker has seen the request and undone its
    faults.
    """
    now = timezone.now()
    because = f": {reason}" if reason else ""
    request: dict[str, Any] = {"stop_requested_at": now, "stop_requested_by": f"{by}{because}"[:MAX_STOPPER]}
    # Two conditional updates: one of them applies, also when the run changes its state in between.
    return end_unbegun_run(run, f"stopped by {by} before it began{because}", **request) or bool(
        Run.objects.running().filter(id=run.id, stop_requested_at__isnull=True).update(**request)
    )


def end_unbegun_run(
    run: Run, reason: str, *, approval: ApprovalState = ApprovalState.WITHDRAWN, **changes: Any
) -> bool:
    """End a run that is queued or awaits approval, `aborted`. Returns False if it has begun, or ended.

    A pending request for its approval gets the state `approval`.
    """
    now = timezone.now()
    ending = {"outcome": Outcome.ABORTED, "rollback": Rollback.CLEAN, "reason": reason}
    ended_at = {"state": RunState.FINISHED, "finished_at": now, **take_numbers()}
    with transaction.atomic():
        ended = Run.objects.not_begun().filter(id=run.id).update(**ended_at, **ending, **changes)
        if ended:
            write_event(Run.objects.get(id=run.id), Event(EventKind.RUN_FINISHED, now, detail=ending))
            approval_gate.close(run, approval, now)
            transaction.on_commit(enqueue_waiting_runs)  # those that were behind it in line
    return bool(ended)
