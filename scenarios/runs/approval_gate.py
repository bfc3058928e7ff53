"""Protected services: which ones a plan acts on, and the request that a second person approves it."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import ApprovalState, RunState
from scenarios.domain.plan import Plan, Step
from scenarios.drivers.installed import installed_drivers
from scenarios.models import Approval, Run
from scenarios.ports import Event, acts_when_probed
from scenarios.runs import admission
from scenarios.runs.events import take_numbers, write_event

NOBODY_NAMED = "nobody named"


def find_touched_services(plan: Plan, environment: str = "") -> list[str]:
    """The services that the plan acts on: a run has them for itself. What it only probes is shared."""
    return admission.find_touched(list_acting_steps(plan), environment=environment)


def list_acting_steps(plan: Plan) -> list[Step]:
    """The steps of actions, and probes that change something, as a POST does.

    If an address contains a secret, only the request itself shows what it touches: see gate.py.
    """
    return [*plan.steps_of_actions(), *filter(_acts_when_probed, plan.probes())]


def _acts_when_probed(probe: Step) -> bool:
    driver = installed_drivers().get(probe.driver)
    return driver is not None and acts_when_probed(driver, probe.arguments)


find_protected = admission.find_protected


def ask_for_run(run: Run, services: list[str]) -> None:
    """Have the queued run wait until a second person approves it; within the caller's transaction."""
    now, reason = timezone.now(), admission.describe_missing_approval(services)
    waits = {"state": RunState.AWAITING_APPROVAL, "waiting_for": reason[:500]}
    if not Run.objects.queued().filter(id=run.id).update(**take_numbers(), **waits):
        return  # stopped since
    run.refresh_from_db(fields=["state", "waiting_for", "last_event"])
    detail = {"services": services, "by": format_user_name(run.started_by), "reason": reason}
    write_event(run, Event(EventKind.APPROVAL_ASKED, now, detail=detail))
    asked: dict[str, Any] = {
        "services": services,
        "state": ApprovalState.PENDING,
        "asked_by": run.started_by,
        "asked_by_name": format_user_name(run.started_by),
        "asked_at": now,
        "expires_at": now + timedelta(hours=settings.APPROVAL_HOURS),
        "decided_by": None,
        "decided_by_name": "",
        "decided_at": None,
        "reason": "",
    }
    Approval.objects.update_or_create(run=run, defaults=asked)


def cover_by_schedule(run: Run, approval: Approval) -> None:
    """Note in the new run who approved its schedule; within the caller's transaction."""
    Run.objects.filter(id=run.id).update(**take_numbers())
    run.refresh_from_db(fields=["last_event"])
    reason = f"with the schedule {approval.schedule}"
    detail = {"services": approval.services, "by": approval.decided_by_name, "reason": reason}
    write_event(run, Event(EventKind.RUN_APPROVED, timezone.now(), detail=detail))
    Approval.objects.create(
        run=run,
        services=approval.services,
        state=ApprovalState.APPROVED,
        asked_by=approval.asked_by,
        asked_by_name=approval.asked_by_name,
        asked_at=approval.asked_at,
        decided_by=approval.decided_by,
        decided_by_name=approval.decided_by_name,
        decided_at=approval.decided_at,
        reason=reason,
    )


def close(run: Run, state: ApprovalState, now: datetime) -> None:
    """Close a pending request for the run's approval."""
    Approval.objects.pending().filter(run=run).update(state=state, decided_at=now)


def format_user_name(user: User | None) -> str:
    return user.get_username() if user is not None else NOBODY_NAMED
