"""Approvals by a second person, for runs and schedules that touch protected services.

Nobody can approve their own request, not even a superuser. Callers check the permission `approve_run` first.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from scenarios.domain.errors import InvalidDocument, InvalidVariables, NotWaiting, OwnRequest
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import ApprovalState, RunState
from scenarios.domain.plan import Plan
from scenarios.drivers import documents
from scenarios.language.document import Document, build_plan
from scenarios.models import Approval, Environment, Host, Run, Scenario, Schedule, Service
from scenarios.ports import Event
from scenarios.runs import admission, approval_gate, task_queue
from scenarios.runs import commands as run_commands
from scenarios.runs.environments import add_values, check_services, read_environment
from scenarios.runs.events import take_numbers, write_event

PERMISSION = "scenarios.approve_run"
# By schedule: its inputs, the services at that time, whether it touches protected ones, and its fingerprint.
_LOOKED_AT: dict[int, tuple[Any, Any, bool, str]] = {}


def approve(approval: Approval, *, by: User, reason: str = "") -> None:
    """Let the run start, or the runs of the schedule as it is now.

    Raises:
        NotWaiting: it was decided, has expired, was stopped, or has changed since.
        OwnRequest: `by` requested it, or wrote what the schedule would run.
    """
    if by.pk in requesters(approval):
        raise OwnRequest(f"{by.get_username()!r} requested this; a second person must approve it.")
    with transaction.atomic():
        if approval.run is not None:
            _let_run_go_on(approval.run, by=by, approval=approval, reason=reason)
        elif approval.schedule is None or compute_fingerprint(approval.schedule) != approval.fingerprint:
            raise NotWaiting("The schedule or its scenario has changed since. Review it again.")
        _decide(approval, ApprovalState.APPROVED, by=by, reason=reason)


def refuse(approval: Approval, *, by: User, reason: str) -> None:
    """End the run, or leave the schedule without an approval until it is changed.

    Raises:
        NotWaiting: it was decided or stopped, or has expired.
    """
    with transaction.atomic():
        # The run first, as when it is stopped, so that rows are always locked in the same order.
        if approval.run is not None:
            sentence = f"refused by {by.get_username()}: {reason}"
            if not run_commands.end_unbegun_run(approval.run, sentence, approval=ApprovalState.PENDING):
                raise NotWaiting("The run no longer waits for an approval.")
        _decide(approval, ApprovalState.REFUSED, by=by, reason=reason)


def requesters(approval: Approval) -> set[int]:
    """Keys of the users who requested it; for a schedule, also of those who wrote what it runs."""
    keys = {approval.asked_by_id}
    if approval.schedule is not None:
        keys.add(approval.schedule.changed_by_id)
        written = Scenario.objects.filter(name=approval.schedule.scenario_name)
        keys.update(written.values_list("changed_by_id", flat=True))
    return {key for key in keys if key is not None}


def expire(now: datetime) -> int:
    """End the runs that nobody approved in time; returns how many."""
    ended = 0
    for approval in Approval.objects.of_runs().expired(now).select_related("run"):
        if approval.run is not None:
            waited = approval.expires_at - approval.asked_at if approval.expires_at else None
            reason = f"nobody approved it within {waited}"
            ended += run_commands.end_unbegun_run(approval.run, reason, approval=ApprovalState.EXPIRED)
    return ended


def _let_run_go_on(run: Run, *, by: User, approval: Approval, reason: str) -> None:
    awaiting = Run.objects.filter(id=run.id, state=RunState.AWAITING_APPROVAL)
    if not awaiting.update(state=RunState.QUEUED, waiting_for="", **take_numbers()):
        raise NotWaiting("The run no longer waits for an approval.")
    run = Run.objects.get(id=run.id)
    detail = {"services": approval.services, "by": by.get_username(), "reason": reason}
    write_event(run, Event(EventKind.RUN_APPROVED, timezone.now(), detail=detail))
    transaction.on_commit(partial(task_queue.enqueue_run, run))


def _decide(approval: Approval, state: ApprovalState, *, by: User, reason: str) -> None:
    now = timezone.now()
    pending = Approval.objects.pending().filter(pk=approval.pk).exclude(expires_at__lte=now)
    decision = {"decided_by": by, "decided_by_name": by.get_username(), "decided_at": now, "reason": reason}
    if not pending.update(state=state, **decision):
        raise NotWaiting("This was already decided or has expired.")


# Schedules: approved once, so that nobody needs to be awake when they are due


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """What a schedule would run, read once, so that what is approved and what is started cannot differ."""

    scenario: Scenario
    document: Document
    plan: Plan
    variables: dict[str, Any]
    touched: list[str]
    protected: list[str]
    fingerprint: str


def read_planned_run(schedule: Schedule) -> PlannedRun:
    """Raises InvalidDocument, InvalidVariables or Scenario.DoesNotExist if it cannot run."""
    return plan_run(schedule, Scenario.objects.get(name=schedule.scenario_name))


def plan_run(schedule: Schedule, scenario: Scenario) -> PlannedRun:
    """What the schedule would run with this scenario.

    Raises:
        InvalidDocument: the scenario does not fit the installed drivers.
        InvalidVariables: the variables do not fit the scenario.
    """
    document = documents.read_document(scenario.document)
    included = documents.read_included(document)
    if included:
        document = documents.read_document(scenario.document, included)
    environment = read_environment(schedule.environment)
    variables = add_values(document, schedule.variables, environment)
    plan = build_plan(document, variables)
    check_services(plan, environment)
    acting = approval_gate.list_acting_steps(plan)
    touched, protected = admission.find_touched_and_protected(acting, schedule.environment)
    covered = [scenario.document, *([included] if included else [])]
    if environment is not None:
        covered.append([environment.services, environment.variables])
    fingerprint = _fingerprint(schedule, covered, protected)
    return PlannedRun(scenario, document, plan, variables, touched, protected, fingerprint)


def request_for_schedule(schedule: Schedule, planned: PlannedRun | None = None) -> list[str]:
    """Request an approval of the schedule as it is; returns the protected services that lack one.

    Raises:
        InvalidDocument: the scenario does not fit the installed drivers.
        InvalidVariables: the variables do not fit the scenario.
        ObjectDoesNotExist: there is no such scenario.
    """
    planned = planned or read_planned_run(schedule)
    with transaction.atomic():
        # A second process that requests it waits here, and finds the first request.
        Schedule.objects.select_for_update().get(pk=schedule.pk)
        return request_for_locked(schedule, planned)


def request_for_locked(schedule: Schedule, planned: PlannedRun) -> list[str]:
    """As `request_for_schedule`, in a transaction that has locked the schedule's row."""
    protected, fingerprint = planned.protected, planned.fingerprint
    if not protected and not getattr(schedule, "pending", True):
        return []
    of_schedule = Approval.objects.filter(schedule=schedule)
    withdrawn = {"state": ApprovalState.WITHDRAWN, "decided_at": timezone.now()}
    of_schedule.pending().exclude(fingerprint=fingerprint).update(**withdrawn)
    if not protected or find_approval(schedule, fingerprint) is not None:
        return []
    if not of_schedule.filter(fingerprint=fingerprint).exclude(state=ApprovalState.WITHDRAWN).exists():
        Approval.objects.create(
            schedule=schedule,
            fingerprint=fingerprint,
            services=protected,
            asked_by=schedule.changed_by,
            asked_by_name=approval_gate.format_user_name(schedule.changed_by),
        )
    return protected


def request_where_changed() -> None:
    """Request an approval for each schedule that lacks one, in a few queries for all.

    Documents are parsed only if they, their variables or the services have changed.
    """
    is_protected = Exists(Service.objects.filter(is_protected=True)) | Exists(
        Environment.objects.filter(is_protected=True)
    )
    pending = Approval.objects.pending().filter(schedule=OuterRef("pk"))
    rows = Schedule.objects.filter(is_paused=False).select_related("changed_by")
    if not settings.PROTECTED_HOSTS:
        rows = rows.filter(is_protected | Exists(Host.objects.filter(is_protected=True)) | Exists(pending))
    if not (found := list(rows)):
        return
    names = {schedule.scenario_name for schedule in found}
    scenarios = {row.name: row for row in Scenario.objects.filter(name__in=names)}
    known = set(
        Approval.objects.filter(schedule__in=found)
        .exclude(state=ApprovalState.WITHDRAWN)
        .values_list("schedule", "fingerprint")
    )
    waiting = set(Approval.objects.pending().values_list("schedule", "fingerprint"))
    registered = Service.objects.order_by("name").values_list("name", "base_url", "is_protected")
    hosts = Host.objects.values_list("name", "address", "labels", "is_protected")
    hosts_now = (json.dumps(row, sort_keys=True) for row in hosts.order_by("name"))
    environments = Environment.objects.order_by("name").values_list("name", "services", "variables")
    environments_now = (json.dumps(row, sort_keys=True) for row in environments)
    services_now = (*settings.PROTECTED_HOSTS, *hosts_now, *environments_now, *registered)
    for schedule in found:
        scenario = scenarios.get(schedule.scenario_name)
        if scenario is None:
            continue
        try:
            protected, fingerprint = _inspect(schedule, scenario, services_now)
        except (InvalidDocument, InvalidVariables):
            continue  # shown when it is due, and on its page
        asked = {print_ for key, print_ in waiting if key == schedule.pk}
        if asked - {fingerprint} or (protected and (schedule.pk, fingerprint) not in known):
            request_for_schedule(schedule)


def _inspect(schedule: Schedule, scenario: Scenario, services_now: tuple[Any, ...]) -> tuple[bool, str]:
    """Whether it touches protected services, and its fingerprint; remembered until something changes."""
    key = (schedule.pk, scenario.document, json.dumps(_facts(schedule), sort_keys=True))
    kept = _LOOKED_AT.get(schedule.pk)
    if kept is None or kept[:2] != (key, services_now):
        planned = plan_run(schedule, scenario)
        kept = (key, services_now, bool(planned.protected), planned.fingerprint)
        _LOOKED_AT[schedule.pk] = kept
    return kept[2], kept[3]


def find_approval(schedule: Schedule, fingerprint: str) -> Approval | None:
    """The approval that covers the schedule as it is."""
    approved = Approval.objects.filter(schedule=schedule, state=ApprovalState.APPROVED)
    return approved.filter(fingerprint=fingerprint).select_related("schedule").first()


def find_plan(approval: Approval) -> Plan | None:
    """What would run: the run's own document, or the present one of the schedule's scenario.

    Raises:
        InvalidDocument: the document does not fit the installed drivers.
        InvalidVariables: the variables do not fit the document.
    """
    if approval.run is not None:
        document = documents.read_document(approval.run.document, approval.run.included or {})
        return build_plan(document, approval.run.variables)
    name = approval.schedule.scenario_name if approval.schedule else ""
    source = Scenario.objects.filter(name=name).values_list("document", flat=True).first() or ""
    if not source:
        return None
    document = documents.read_document(source)
    environment = read_environment(approval.schedule.environment if approval.schedule else "")
    return build_plan(document, add_values(document, find_variables(approval), environment))


def find_variables(approval: Approval) -> dict[str, Any]:
    subject: Run | Schedule | None = approval.run or approval.schedule
    return subject.variables if subject is not None else {}


def compute_fingerprint(schedule: Schedule) -> str:
    """A hash of everything that an approval covers; "" if the schedule cannot run."""
    try:
        return read_planned_run(schedule).fingerprint
    except (InvalidDocument, InvalidVariables, Scenario.DoesNotExist):
        return ""


def _fingerprint(schedule: Schedule, documents_of_run: list[Any], protected: list[str]) -> str:
    facts = [*documents_of_run, *_facts(schedule), protected]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts(schedule: Schedule) -> list[Any]:
    return [
        schedule.scenario_name,
        schedule.variables,
        [schedule.cron, schedule.time_zone, str(schedule.window)],
        # An earlier version has approved schedules without one.
        *([schedule.environment] if schedule.environment else []),
    ]
