"""Without a watchdog, a worker closes the faults that may still arrive, and the next run gets the service."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from scenarios import tasks
from scenarios.domain.outcomes import FaultState, Rollback
from scenarios.library import services as registered_services
from scenarios.models import Fault, Hold, Run
from scenarios.runs import commands as run_commands
from scenarios.runs.late_faults import late_faults
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: late}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          timeout: 500ms
          do: {http: {service: target, method: POST, path: /fault}}
          undo: {http: {service: target, method: DELETE, path: /fault}}
"""


@pytest.fixture
def target(settings: Any) -> Iterator[Target]:
    settings.LATE_INJECTION_SECONDS = 3600
    with running_target() as running:
        registered_services.register_service("target", running.url)
        yield running


def carry_out(run: Run) -> None:
    tasks.carry_out_run.func(str(run.id), run.attempt)


def its_time_is_over_and_the_service_is_free() -> bool:
    now = timezone.now()
    Fault.objects.awaited().order_by().update(late_until=now, next_try_at=now)
    return not Hold.objects.exists()


def test_a_worker_closes_a_late_fault_and_the_next_run_begins(target: Target) -> None:
    target.late_by = 3.0
    first = run_commands.start_run(DOCUMENT, {}, origin="cli")
    carry_out(first)
    assert Fault.objects.get().state == FaultState.UNVERIFIED
    waiting = run_commands.start_run(DOCUMENT, {}, origin="cli")
    carry_out(waiting)
    waiting.refresh_from_db()
    assert "is held by" in waiting.waiting_for
    DBTaskResult.objects.all().delete()
    wait_for(lambda: target.injected, what="the injection arrives")
    wait_for(its_time_is_over_and_the_service_is_free, what="the service is free")
    assert late_faults.join(120)
    fault, first = Fault.objects.get(), Run.objects.get(pk=first.pk)
    assert (fault.state, first.rollback) == (FaultState.UNDONE, Rollback.CLEAN)
    assert (target.injected, target.active) == (1, 0)
    assert DBTaskResult.objects.count() == 1, "the waiting run is in the queue again"


def test_a_worker_without_late_faults_starts_no_thread(target: Target) -> None:
    # Longer than any machine needs: what is in time is not late.
    carry_out(run_commands.start_run(DOCUMENT.replace("500ms", "10m"), {}, origin="cli"))
    assert late_faults.join(0)
    assert Fault.objects.get().state == FaultState.UNDONE
