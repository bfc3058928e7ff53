"""Faults of a real fault proxy, by whole runs on a real database."""

import asyncio
import re
from collections.abc import Iterator
from threading import Thread

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from metrics_app.backend import get_metrics
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.domain.plan import Action, FaultCall
from scenarios.drivers.documents import read_document
from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import SitePlatform
from scenarios.engine.clock import SystemClock
from scenarios.engine.preflight import Targets
from scenarios.engine.steps import StepRunner
from scenarios.language.document import build_plan
from scenarios.library import warnings
from scenarios.models import Event, Fault, Run, Service
from scenarios.ports import Event as EventFacts
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, leases, ledger, recovery
from tests.servers.fault_proxy import TOKEN, RunningProxy, running_fault_proxy
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: slow-target}}
spec:
  phases:
    - name: chaos
      hold: {hold}
      actions:
        - name: it is slow
          fault: {{proxy: {{service: target, {fault}}}}}
      validations:
        - name: it answers slowly
          within: 60s
          probe: {{http: {{service: target, path: /health}}}}
          expect: {{status: 200, elapsed: {{at_least: 0.2}}}}
    - name: afterwards
      validations:
        - name: it is quick again
          within: 60s
          probe: {{http: {{service: target, path: /health}}}}
          expect: {{status: 200, elapsed: {{below: 0.2}}}}
"""


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target("127.0.0.1") as running:
        yield running


@pytest.fixture
def proxy(target: Target, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[RunningProxy]:
    monkeypatch.setenv(f"{settings.SCENARIO_SECRET_PREFIX}FAULT_PROXY_TOKEN", TOKEN)
    with running_fault_proxy(target.url.removeprefix("http://")) as running:
        Service.objects.create(name="target", base_url=f"http://{running.listener}", proxy=running.control)
        yield running


def carry_out(run: Run) -> Run:
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def start(fault: str = "latency: 300ms", hold: str = "0s") -> Run:
    return run_commands.start_run(DOCUMENT.format(fault=fault, hold=hold), {}, origin="cli")


def test_a_run_breaks_a_service_that_knows_nothing_of_it_and_mends_it(
    proxy: RunningProxy, admin_client: Client
) -> None:
    run = carry_out(start())
    assert (run.outcome, run.rollback) == (Outcome.PASSED, Rollback.CLEAN), run.reason
    fault = Fault.objects.get()
    assert fault.state == FaultState.UNDONE
    assert fault.fault_id
    assert fault.lease_seconds >= executor.MIN_FAULT_LEASE
    assert fault.undo["fault"]["id"] == fault.fault_id
    assert TOKEN not in str(fault.undo)
    assert proxy.control.removeprefix("http://") in fault.target
    assert proxy.faults == {}
    page = admin_client.get(f"/admin/scenarios/fault/{fault.pk}/change/").content.decode()
    assert fault.fault_id in page
    assert "by itself, 15s after its last renewal" in page
    event = Event.objects.get(kind=EventKind.ACTION_FINISHED)
    assert event.detail["seen"]


def test_a_proxy_that_is_restarted_has_lost_the_fault_and_the_run_says_so(
    proxy: RunningProxy, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 5
    run = start(hold="120s")

    def restart() -> None:
        wait_for(lambda: proxy.faults, what="the fault is injected")
        (fault_id,) = proxy.faults
        proxy.ask("DELETE", f"/faults/{fault_id}")  # as a restart does: it is not there any more

    other = Thread(target=restart)
    other.start()
    run = carry_out(run)
    other.join()
    assert run.outcome == Outcome.ERRORED
    assert "was lost" in run.reason
    assert run.rollback == Rollback.CLEAN
    assert Event.objects.filter(kind=EventKind.FAULT_LOST, subject="it is slow").count() == 1
    assert re.search(r'scenario_faults_lost_total\{driver="proxy",[^}]*scenario="slow-target"', expose())


def look_for_targets(fault: str) -> Targets:
    document = read_document(DOCUMENT.format(fault=fault, hold="0s"))
    return warnings.look_for_targets(build_plan(document, {}))


def test_obstacles_of_a_fault_are_known_before_the_run(
    proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    found = look_for_targets("refuse: true")
    assert found.unreachable == []
    assert proxy.control.removeprefix("http://") in found.chosen[0]
    monkeypatch.setenv(f"{settings.SCENARIO_SECRET_PREFIX}FAULT_PROXY_TOKEN", "wrong")
    assert "token" in look_for_targets("refuse: true").unreachable[0]
    proxy.process.kill()
    proxy.process.wait()
    (sentence, *_) = look_for_targets("refuse: true").unreachable
    assert proxy.control.removeprefix("http://") in sentence
    run = carry_out(start())
    assert (run.outcome, run.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert not Fault.objects.exists()


def test_a_fault_of_a_dead_worker_ends_by_itself_and_counts_as_expired(
    proxy: RunningProxy, settings: Settings
) -> None:
    """As after kill -9: the ledger has the fault, and nobody renews it."""
    run = start()
    claim = leases.claim_run(run.id, run.attempt, worker="dead:1")
    assert claim is not None
    inject_as_worker(run, claim)
    assert proxy.faults
    wait_for(lambda: not proxy.faults, what="the fault has ended by itself")
    leases.expire_leases("dead:1")
    run.refresh_from_db()
    ended = recovery.undo_now(run)
    assert ended is not None
    assert (ended.state, ended.rollback) == (RunState.FINISHED, Rollback.CLEAN)
    undone = Event.objects.get(kind=EventKind.FAULT_UNDONE)
    assert undone.detail["expired"] is True
    assert re.search(r'scenario_faults_expired_total\{driver="proxy",[^}]*scenario="slow-target"', expose())


def inject_as_worker(run: Run, claim: leases.Claim) -> None:
    """Write the fault to the ledger and inject it with a lease of a second, as a worker that then dies."""
    action = executor.build_run_plan(run).phases[0].actions[0]
    steps = StepRunner(installed_drivers(), SitePlatform(run.addresses), SystemClock())
    target = asyncio.run(steps.choose_target(action.do, 60))
    action = action.for_fault(FaultCall("f" * 32, 1.0, target))
    assert action.undo is not None
    fault = ledger.open_fault(
        claim,
        happened(EventKind.FAULT_INJECTING, action),
        do=action.do,
        undo=action.undo,
        timeout=30.0,
        proof=action.undone,
        lease_seconds=1.0,
    )
    asyncio.run(steps.act(action.do, 60))
    ledger.mark_active(claim, fault, happened(EventKind.FAULT_INJECTED, action))


def happened(kind: EventKind, action: Action) -> EventFacts:
    return EventFacts(kind, timezone.now(), "chaos", action.name)


def expose() -> str:
    return get_metrics().get_http_handler()("").decode()
