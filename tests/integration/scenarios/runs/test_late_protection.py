"""What changes while a run is queued or going on: a service is protected, moved or registered."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.library import services as registered_services
from scenarios.models import Fault, Run, Service
from scenarios.planning import approvals
from scenarios.ports import Event
from scenarios.runs import executor, late_protection, leases, ledger, recovery
from tests.integration.scenarios.planned_rows import read_approval, someone
from tests.integration.scenarios.reaching import (
    action,
    approved,
    carried_out,
    document,
    in_the_database,
    queued,
)
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("change", ["protected", "moved there", "registered there"])
def test_protection_or_move_of_a_service_is_noticed_at_the_claim(change: str, ann: User) -> None:
    with recording() as target:
        do = {"http": {"url": f"http://localhost:{target.port}/x", "method": "POST"}}
        if change == "protected":
            registered_services.register_service("custody", target.url)
        elif change == "moved there":
            registered_services.register_service("custody", "http://127.0.0.1:1", is_protected=True)
        run = queued(document(actions=[action(do)]), ann)
        assert run.state == RunState.QUEUED
        registered_services.register_service("custody", target.url, is_protected=True)
        waiting = carried_out(run)
        assert (waiting.state, waiting.services) == (RunState.AWAITING_APPROVAL, ["custody"])
        assert target.requests == []
        assert approved(waiting).outcome == Outcome.PASSED
        assert target.asked == ["POST /x"]


def test_service_protected_during_a_run_is_refused_from_then_on_but_its_fault_is_undone(
    shop: Recorder,
) -> None:
    def protect(request: Any) -> None:
        if request.path == "/inject":
            registered_services.register_service(
                "custody", f"http://localhost:{shop.port}", is_protected=True
            )

    shop.before_answer = in_the_database(protect)
    inject = {"http": {"service": "shop", "method": "POST", "path": "/inject"}}
    undo = {"http": {"service": "shop", "method": "DELETE", "path": "/undo"}}
    more = {"http": {"service": "shop", "method": "POST", "path": "/more"}}
    ended = carried_out(queued(document(actions=[action(inject, undo), {"name": "more", "do": more}])))
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert "which is protected" in ended.reason
    assert shop.asked == ["POST /inject", "DELETE /undo"]
    assert Fault.objects.get().state == FaultState.UNDONE


def test_a_load_ends_and_a_fault_is_undone_when_their_service_becomes_protected(shop: Recorder) -> None:
    def protect(request: Any) -> None:
        if request.path == "/inject":
            registered_services.register_service("shop", shop.url, is_protected=True)

    shop.before_answer = in_the_database(protect)
    inject = {"http": {"service": "shop", "method": "POST", "path": "/inject"}}
    undo = {"http": {"service": "shop", "method": "DELETE", "path": "/undo"}}
    source = json.loads(document(actions=[action(inject, undo)]))
    look = {"http": {"service": "shop", "path": "/price"}}
    source["spec"]["load"] = [{"name": "shoppers", "rate": "5/s", "request": look}]
    source["spec"]["phases"][0]["hold"] = "300s"
    ended = carried_out(queued(json.dumps(source)))
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    because = "the run touches service 'shop', which is protected now, and nobody has approved that"
    assert ended.reason == because
    assert Fault.objects.get().state == FaultState.UNDONE
    assert "DELETE /undo" in shop.asked


def test_what_is_protected_later_at_the_address_of_a_run_needs_an_approval_too(
    custody: Recorder, ann: User
) -> None:
    do = {"http": {"service": "custody", "method": "POST", "path": "/x"}}
    run = queued(document(actions=[action(do)]), ann)
    approvals.approve(read_approval(run), by=someone("bob", "approve_run"))
    claimed = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claimed is not None
    look = late_protection.ProtectionLook(claimed)
    assert look.find_unapproved() == []
    registered_services.register_service("vault", f"http://localhost:{custody.port}")
    assert look.find_unapproved() == ()
    registered_services.register_service("vault", f"http://localhost:{custody.port}", is_protected=True)
    assert look.find_unapproved() == ["vault"]


def test_an_undo_is_redirected_to_what_was_protected_later_and_not_to_what_was_before(
    custody: Recorder, shop: Recorder
) -> None:
    def redirect(request: Any) -> None:
        shop.status = 307 if request.method == "DELETE" else 200

    shop.redirect_to, shop.before_answer = f"http://localhost:{custody.port}/x", redirect
    inject = {"http": {"service": "shop", "method": "POST", "path": "/inject"}}
    undo = {"http": {"service": "shop", "method": "DELETE", "path": "/undo", "follow_redirects": True}}
    wait = {"name": "wait", "do": {"wait": {"duration": "1ms"}}}
    run = queued(document(actions=[action(inject, undo), wait]))
    claimed = leases.claim_run(run.id, run.attempt, worker="dead:1")
    assert claimed is not None
    plan = executor.build_run_plan(Run.objects.get(pk=run.pk))
    fault = plan.phases[0].actions[0]
    assert fault.undo is not None
    opened = Event(EventKind.FAULT_INJECTING, timezone.now(), "p", "act")
    ledger.open_fault(claimed, opened, do=fault.do, undo=fault.undo, timeout=5)
    (left,) = recovery.clean_up_after("dead:1")
    assert (left.rollback, custody.requests) == (Rollback.DIRTY, [])
    assert "which is protected" in Fault.objects.get().reason
    Service.objects.filter(name="custody").delete()
    registered_services.register_service("custody", custody.url, is_protected=True)
    mended = recovery.undo_now(left)
    assert mended is not None
    assert (mended.rollback, custody.asked) == (Rollback.CLEAN, ["DELETE /x"])
