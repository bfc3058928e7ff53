"""A fault is taken back where it was injected, wherever its service is registered by now."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from scenarios import execution, leases, services
from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.domain.plan import Step
from scenarios.models import Fault, Run, Service
from scenarios.ports import Event
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
        services.register_service("target", old.url)
        old.active = 1
        yield old, new


@pytest.fixture
def run(targets: tuple[Target, Target]) -> Run:
    """Its worker died in the fault."""
    run = services.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    event = Event("fault_injecting", timezone.now(), "chaos", "break it")
    leases.open_fault(claim, event, do=DO, undo=UNDO, timeout=5)
    leases.expire_leases("a:1")
    return Run.objects.get(id=run.id)


@pytest.mark.parametrize("away", [False, True])
def test_the_fault_of_a_dead_worker_is_undone_where_it_was_injected(
    run: Run, targets: tuple[Target, Target], *, away: bool
) -> None:
    old, new = targets
    services.register_service("target", new.url)
    if away:
        Service.objects.all().delete()
    execution.undo_now(run)
    assert (old.active, old.undone, new.undone) == (0, 1, 0)
    assert Fault.objects.get().state == FaultState.UNDONE


def test_a_fault_that_stays_outstanding_is_undone_where_its_service_is_registered_then(
    run: Run, targets: tuple[Target, Target]
) -> None:
    old, new = targets
    old.refuse_undo = True
    left = execution.undo_now(run)
    assert left is not None
    assert (left.outcome, left.rollback) == (Outcome.INTERRUPTED, Rollback.DIRTY)
    services.register_service("target", new.url)
    mended = execution.undo_now(left)
    assert mended is not None
    assert (new.undone, mended.rollback) == (1, Rollback.CLEAN)


def test_a_fault_whose_service_was_renamed_meanwhile_is_undone_all_the_same(
    run: Run, targets: tuple[Target, Target]
) -> None:
    old, _new = targets
    old.refuse_undo = True
    left = execution.undo_now(run)
    assert left is not None
    Service.objects.update(name="renamed")
    old.refuse_undo = False
    execution.undo_now(left)
    assert old.active == 0
