"""Every write that an entrance asks for: scenarios, services, starting and stopping runs, faults.

What a worker writes while it holds a run stands in leases.py.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from scenarios import addresses, admission, protection, registry
from scenarios.domain.document import Document, build_plan, parse_document
from scenarios.domain.errors import (
    AddressProtected,
    AddressUnknown,
    CannotBegin,
    ScenarioDeleted,
    ServiceHeld,
)
from scenarios.domain.outcomes import ApprovalState, Outcome, Rollback, RunState
from scenarios.domain.plan import Plan
from scenarios.durability import on_disk
from scenarios.event_log import write_event
from scenarios.leases import claim_finished_run, release
from scenarios.ledger import mark_acknowledged, open_faults
from scenarios.models import (
    DEFAULT_HEALTH_PATH,
    Approval,
    Fault,
    GlobalStop,
    Hold,
    Run,
    RunCharts,
    Scenario,
    Schedule,
    Service,
)
from scenarios.named_services import keep_named_services
from scenarios.ports import Event
from scenarios.service_queries import give_default_queries
from scenarios.surroundings import step_arguments
from scenarios.task_queue import knock, knock_waiting

logger = logging.getLogger(__name__)


def read_document(source: str | bytes) -> Document:
    """The document, checked against the installed drivers.

    Raises:
        InvalidDocument: with every problem at its line and column.
    """
    return parse_document(source, step_arguments())


def save_scenario(document: Document, *, by: User | None = None, replace: bool = True) -> Scenario:
    """Store a valid document under the name it gives itself, replacing an earlier one where it may.

    A document that is stored already is left as it is: it makes no new version.

    Raises:
        IntegrityError: without `replace`, another document is stored under the name.
    """
    if (same := Scenario.objects.filter(name=document.name, document=document.source).first()) is not None:
        return same
    written = {
        "title": document.title,
        "description": document.description,
        "tags": list(document.tags),
        "document": document.source,
        "changed_by": by,
    }
    with transaction.atomic():
        # One that was removed comes back with its history and its runs.
        versions = Scenario.history.filter(name=document.name)
        removed = versions.values_list("id", flat=True).first()
        first = {**written, "pk": removed}
        if replace:
            scenario, created = Scenario.objects.update_or_create(
                name=document.name, defaults=written, create_defaults=first
            )
        else:
            scenario, created = Scenario.objects.create(name=document.name, **first), True
        if created and removed:
            lost = Run.objects.filter(scenario=None, scenario_name=document.name)
            lost.filter(document__in=versions.values("document")).update(scenario=scenario)
        keep_named_services(scenario, document)
    return scenario


def restore_version(scenario: Scenario, version: int, *, by: User | None = None) -> Scenario:
    """Make an earlier version the present one. The version is written anew: nothing is lost of the history.

    Raises:
        InvalidDocument: it does not fit the drivers that are installed now.
        ObjectDoesNotExist: the scenario has no such version.
    """
    return save_scenario(read_document(scenario.history.get(history_id=version).document), by=by)


def check_address(service: Service) -> None:
    """For whoever may not protect services: the service must not stand at the address of a protected one.

    Every request of a run is compared with the protected addresses anyway; this is so that nobody believes
    to have registered a service of their own.

    Raises:
        AddressProtected: a protected service is registered where this address leads.
        AddressUnknown: it cannot be resolved, and protected services are registered.
    """
    others = [one for one in registry.read_services() if one.name != service.name]
    endpoint = addresses.endpoint_of(service.base_url)
    if endpoint is None or not any(one.is_protected for one in others):
        return
    host, port = endpoint
    known = addresses.names.resolve([host]).get(host)
    if protected := registry.Registry(others).protected_at(addresses.places_of(endpoint)):
        raise AddressProtected(
            f"{service.base_url!r} leads to {', '.join(map(repr, protected))}, which is protected: to "
            "register a service there needs the permission 'protect_service'."
        )
    if not known:
        raise AddressUnknown(
            f"{host!r} cannot be resolved here, so that {host}:{port} cannot be compared with the "
            "addresses of protected services: name one that can be, or ask someone with the "
            "permission 'protect_service'."
        )


@transaction.atomic
def register_service(
    name: str, base_url: str, description: str | None = None, *, is_protected: bool | None = None
) -> Service:
    """Register the service, with the default queries for charts, or give a registered one this address.

    What is None stays as it is.

    Raises:
        ValidationError: the name is no DNS label, or the address no http(s) URL.
    """
    admission.lock()  # of two that register the same one, the second changes the first's
    service = Service.objects.filter(name=name).first() or Service(name=name)
    is_new = service.pk is None
    service.base_url = base_url
    service.description = service.description if description is None else description
    service.is_protected = service.is_protected if is_protected is None else is_protected
    save_service(service)
    if is_new:
        give_default_queries(service)
    return service


@transaction.atomic
def delete_service(service: Service) -> None:
    """Delete the service with its queries for charts.

    Raises:
        ServiceHeld: a run has it for itself; without its address nothing could be undone there.
    """
    admission.lock()  # no run takes it meanwhile
    if hold := Hold.objects.filter(service=service.name).select_related("run").first():
        raise ServiceHeld(f"Service {service.name!r} cannot be deleted now: it is held by {hold}.")
    service.delete()


def save_service(service: Service) -> Service:
    """Store the service. Runs that touch a protected one, queued ones too, then need an approval.

    Raises:
        ValidationError: the name is no DNS label, or the address no http(s) URL.
    """
    service.health_path = service.health_path or DEFAULT_HEALTH_PATH
    service.full_clean()
    service.save()
    return service


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
) -> Run:
    """Write the run's row, and tell the queue. The row is the truth: the queue only knocks.

    `scenario` is the stored scenario that the document is of, if it is of one. Where the run cannot begin
    now, because another holds a service that it touches, or because one is protected and a second person
    must approve, it waits; or is refused, without `wait`. Of runs that wait, those of a higher `priority`
    (-100 to 100) begin first.

    Raises:
        CannotBegin: what stands in its way, without `wait`.
        InvalidDocument: the document does not fit the installed drivers.
        InvalidVariables: a value is missing, unknown, or of the wrong kind.
        ScenarioDeleted: `scenario` is no longer stored.
    """
    document = read_document(source)
    plan = build_plan(document, variables)
    run = Run(
        scenario=scenario,
        scenario_name=document.name,
        document=document.source,
        variables=dict(variables),
        services=protection.touched_services(plan),
        targets=admission.targets_of(protection.acting_steps(plan)).as_json(),
        started_by=by,
        started_from=origin,
        priority=priority,
    )
    with transaction.atomic():
        if not wait and (obstacle := admission.obstacle_to(run, admission.lock())):
            raise CannotBegin(f"{document.name!r} cannot begin now: {obstacle}.")
        _refuse_deleted(scenario)
        if stop := GlobalStop.objects.filter(pulled_at__isnull=False).first():
            run.waiting_for = admission.stopped(stop)[:500]
        run.save(force_insert=True)
        RunCharts.objects.create(run=run)
        if services := admission.unapproved(run):
            protection.ask_for_run(run, services)
        else:
            transaction.on_commit(lambda: knock(run))
    return run


def start_scheduled_run(
    document: Document,
    plan: Plan,
    scheduled: Scheduled,
    *,
    scenario: Scenario,
    services: list[str],
    protected: list[str],
) -> Run:
    """As `start_run`, of a document that is read already and what it touches.

    Must be called in a transaction that has locked the scenario's row: nobody deletes it meanwhile.
    """
    schedule = scheduled.schedule
    run = Run(
        scenario=scenario,
        scenario_name=document.name,
        document=document.source,
        variables=dict(schedule.variables),
        services=services,
        targets=admission.targets_of(protection.acting_steps(plan)).as_json(),
        started_by=schedule.changed_by,
        started_from="schedule",
        priority=schedule.priority,
        schedule=schedule,
        begin_before=scheduled.begin_before,
        enqueued_at=None if protected else timezone.now(),
    )
    run.save(force_insert=True)
    RunCharts.objects.create(run=run)
    if scheduled.approval:
        protection.cover_by_schedule(run, scheduled.approval)
    if protected and (lacking := admission.unapproved(run)):
        protection.ask_for_run(run, lacking)
    else:
        transaction.on_commit(lambda: knock(run))
    return run


def _refuse_deleted(scenario: Scenario | None) -> None:
    """Keep the scenario from being deleted until the transaction ends.

    Without the lock, the database would refuse the run only at the commit, as a broken foreign key.

    Raises:
        ScenarioDeleted: it is no longer stored.
    """
    if scenario is None:
        return
    locked = Scenario.objects.select_for_update(no_key=True).filter(pk=scenario.pk)
    if not locked.values_list("pk", flat=True).first():
        raise ScenarioDeleted(scenario.name)


def pull_global_stop(*, by: str, reason: str) -> int:
    """Let no run begin, and end every running one `aborted` with its faults undone; how many those are.

    Pulled again, it keeps who pulled it first, and stops what may be running all the same.
    """
    with on_disk():  # a power cut must not release it
        stop = admission.lock()
        if stop.pulled_at is None:
            stop.pulled_at, stop.pulled_by, stop.reason = timezone.now(), by, reason[:300]
            stop.save()
        Run.objects.queued().update(waiting_for=admission.stopped(stop)[:500])
        wish = {"stop_requested_at": timezone.now(), "stop_requested_by": str(stop)[:200]}
        return Run.objects.running().filter(stop_requested_at__isnull=True).update(**wish)


def release_global_stop() -> bool:
    """Let runs begin again. False where the stop was not pulled."""
    with transaction.atomic():
        stop = admission.lock()
        was_pulled = stop.pulled_at is not None
        stop.pulled_at, stop.pulled_by, stop.reason = None, "", ""
        stop.save()
        # Whatever they wait for besides is told anew; the queue hears of each that can begin.
        Run.objects.queued().update(waiting_for="", enqueued_at=None)
    knock_waiting()
    return was_pulled


def request_stop(run: Run, *, by: str) -> bool:
    """Ask for the run's end, `aborted`. False where it has ended already.

    One that has not begun ends at once; a running one when its worker has seen the wish and undone its
    faults.
    """
    now = timezone.now()
    wish: dict[str, Any] = {"stop_requested_at": now, "stop_requested_by": by}
    # Two conditional updates: whichever state the run is in when each arrives, one of them applies.
    return end_unbegun_run(run, f"stopped by {by} before it began", **wish) or bool(
        Run.objects.running().filter(id=run.id, stop_requested_at__isnull=True).update(**wish)
    )


def end_unbegun_run(
    run: Run, reason: str, *, approval: ApprovalState = ApprovalState.WITHDRAWN, **changes: Any
) -> bool:
    """End a run that is queued or awaits approval, `aborted`. False where it has begun, or ended.

    What still waits for its approval is then in the state `approval`.
    """
    now = timezone.now()
    ending = {"outcome": Outcome.ABORTED, "rollback": Rollback.CLEAN, "reason": reason}
    ended_at = {"state": RunState.FINISHED, "finished_at": now, "last_event": F("last_event") + 1}
    with transaction.atomic():
        ended = Run.objects.not_begun().filter(id=run.id).update(**ended_at, **ending, **changes)
        if ended:
            write_event(Run.objects.get(id=run.id), Event("run_finished", now, detail=ending))
            protection.close(run, approval, now)
            transaction.on_commit(knock_waiting)  # whoever was behind it in line
    return bool(ended)


def retry_undo(faults: QuerySet[Fault]) -> int:
    """Make outstanding faults due now: the watchdog tries them within a second. How many there were."""
    return Fault.objects.left_behind().filter(id__in=faults.values("id")).update(next_try_at=timezone.now())


def acknowledge_fault(row: Fault, *, by: str, reason: str) -> bool:
    """Take an outstanding fault out of the ledger by a person's word. False where it is not outstanding.

    The run's rollback becomes clean when this was its last one.
    """
    claim = claim_finished_run(row.run_id, worker=f"acknowledged by {by}")
    if claim is None:
        return False
    try:
        outstanding = [fault for fault in open_faults(claim) if fault.key == row.pk]
        for fault in outstanding:
            detail = {"by": by, "reason": reason}
            mark_acknowledged(
                claim, fault, Event("fault_acknowledged", timezone.now(), fault.phase, fault.action, detail)
            )
    finally:
        release(claim)
    knock_waiting()
    return bool(outstanding)
