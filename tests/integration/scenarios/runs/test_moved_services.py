"""A fault is undone where it was injected, even if its service is now registered elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.domain.plan import Step
from scenarios.library import services as registered_services
from scenarios.models import Event, Fault, Run, Service
from scenarios.ports import Event as PortEvent
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, leases, ledger, recovery
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.django_db(transaction=True)

DO, UNDO = (
    Step("http", {"service": "target", "path": "/fault", "method": word}) for word in ("POST", "DELETE")
)
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: moving}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: target, path: /fault, method: POST}}
          undo: {http: {service: target, path: /fault, method: DELETE}}
"""


@pytest.fixture
def targets() -> Iterator[tuple[Target, Target]]:
    """The first is registered; what is injected there is not undone yet."""
    with running_target() as old, running_target() as new:
        registered_services.register_service("target", old.url)
        old.active = 1
        yield old, new


@pytest.fixture
def run(targets: tuple[Target, Target]) -> Run:
    """Its worker died in the fault."""
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    event = PortEvent(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "break it")
    ledger.open_fault(claim, event, do=DO, undo=UNDO, timeout=5)
    leases.expire_leases("a:1")
    return Run.objects.get(id=run.id)


def only_event(kind: str) -> dict[str, Any]:
    (event,) = Event.objects.filter(kind=kind)
    detail: dict[str, Any] = event.detail
    return detail


def test_the_fault_of_a_dead_worker_is_undone_where_it_was_injected_and_where_its_service_is_now(
    run: Run, targets: tuple[Target, Target]
) -> None:
    old, new = targets
    registered_services.register_service("target", new.url)
    recovery.undo_now(run)
    assert (old.active, old.undone, new.undone) == (0, 1, 1)
    assert Fault.objects.get().state == FaultState.UNDONE
    assert only_event("fault_undone")["places"] == {old.url: "undone", new.url: "undone"}


def test_a_service_that_is_no_longer_registered_is_found_where_the_fault_was_injected(
    run: Run, targets: tuple[Target, Target]
) -> None:
    old, _new = targets
    Service.objects.all().delete()
    recovery.undo_now(run)
    assert (old.active, old.undone) == (0, 1)
    assert only_event("fault_undone")["places"] == {old.url: "undone"}


def test_an_undo_at_the_new_address_does_not_close_a_fault_that_is_still_at_the_old_one(
    run: Run, targets: tuple[Target, Target]
) -> None:
    old, new = targets
    old.refuse_undo = True
    registered_services.register_service("target", new.url)
    for tries in (1, 2):
        left = recovery.undo_now(Run.objects.get())
        assert left is not None
        assert (left.rollback, old.active, new.undone) == (Rollback.DIRTY, 1, tries)
    fault = Fault.objects.get()
    assert fault.state == FaultState.OUTSTANDING
    assert f"it was injected at {old.url}" in fault.reason
    assert f"registered at {new.url} by now, where it is undone" in fault.reason
    old.refuse_undo = False
    mended = recovery.undo_now(Run.objects.get())
    assert mended is not None
    assert (mended.rollback, old.active) == (Rollback.CLEAN, 0)
    assert only_event("fault_undone")["places"] == {old.url: "undone", new.url: "undone"}


def test_a_new_host_that_refuses_the_undo_keeps_no_fault_open(
    run: Run, targets: tuple[Target, Target]
) -> None:
    old, new = targets
    new.refuse_undo = True
    registered_services.register_service("target", new.url)
    recovery.undo_now(run)
    assert (Fault.objects.get().state, old.active) == (FaultState.UNDONE, 0)
    places = only_event("fault_undone")["places"]
    assert places[old.url] == "undone"
    assert "answered 503" in places[new.url]


def test_a_run_whose_service_moves_sends_the_undo_to_both_addresses(
    targets: tuple[Target, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.engine.injection.UNDO_DELAYS", ())
    old, new = targets
    old.active, old.refuse_undo = 0, True
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    real = leases.claim_run

    def claim_and_move(*arguments: Any, **named: Any) -> Any:
        claim = real(*arguments, **named)
        registered_services.register_service("target", new.url)
        return claim

    monkeypatch.setattr(leases, "claim_run", claim_and_move)
    ended = executor.carry_out(str(run.id), 1)
    assert ended is not None
    assert (old.active, new.undone) == (1, 2)  # at the phase's end and at the run's
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.DIRTY)
    assert Fault.objects.get().address == old.url
    for event in Event.objects.filter(kind="fault_undo_failed"):
        assert event.detail["places"][new.url] == "undone"


def test_a_fault_whose_service_was_renamed_is_still_undone(run: Run, targets: tuple[Target, Target]) -> None:
    old, _new = targets
    old.refuse_undo = True
    left = recovery.undo_now(run)
    assert left is not None
    Service.objects.update(name="renamed")
    old.refuse_undo = False
    recovery.undo_now(left)
    assert old.active == 0
