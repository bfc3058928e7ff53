"""Which queued run may begin: services are held, places are counted, the global stop keeps all."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scenarios.domain.errors import CannotBegin
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Step
from scenarios.library import services as registered_services
from scenarios.models import Hold, Run, Service
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import faults as fault_commands
from scenarios.runs import global_stop, leases, ledger, lifecycle, stop_requests, task_queue
from scenarios.runs.leases import Claim

pytestmark = pytest.mark.django_db

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: touching}}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {{http: {{service: {service}, method: POST, path: /fault}}}}
          undo: {{http: {{service: {service}, method: DELETE, path: /fault}}}}
      validations:
        - {{name: look, probe: {{http: {{service: observed, path: /health}}}}, expect: {{status: 200}}}}
"""


def queued(service: str, **options: Any) -> Run:
    return run_commands.start_run(DOCUMENT.format(service=service), {}, origin="cli", **options)


def claim(run: Run) -> Claim | None:
    return leases.claim_run(run.id, run.attempt, worker="a:1")


def waits_for(run: Run) -> str:
    run.refresh_from_db()
    return run.waiting_for


def finish(claimed: Claim | None, rollback: Rollback = Rollback.CLEAN) -> None:
    assert claimed is not None
    lifecycle.finish_run(claimed, Verdict(Outcome.PASSED, "", rollback), timezone.now())


def test_two_runs_that_touch_one_service_never_overlap() -> None:
    first, second = queued("exchange"), queued("exchange")
    claimed = claim(first)
    assert claim(second) is None
    assert waits_for(second) == f"service 'exchange' is held by {first}"
    assert task_queue.enqueue_waiting_runs() == 0
    finish(claimed)
    assert task_queue.enqueue_waiting_runs() == 1
    assert claim(second) is not None
    assert Hold.objects.get().run == second


def test_runs_on_different_services_go_side_by_side_and_what_is_only_probed_is_shared() -> None:
    assert claim(queued("exchange")) is not None
    assert claim(queued("custodian")) is not None


def test_no_more_runs_go_on_than_the_setting_allows(settings: Any) -> None:
    settings.MAX_CONCURRENT_RUNS = 1
    claimed = claim(queued("exchange"))
    third = queued("custodian")
    assert claim(third) is None
    assert "MAX_CONCURRENT_RUNS is 1" in waits_for(third)
    finish(claimed)
    assert claim(third) is not None


def test_the_run_that_has_waited_longest_for_a_service_gets_it() -> None:
    claimed = claim(queued("exchange"))
    second, third = queued("exchange"), queued("exchange")
    assert claim(second) is None
    finish(claimed)
    assert claim(third) is None
    assert "queued earlier" in waits_for(third)
    assert claim(second) is not None


def test_a_dirty_fault_holds_its_service_until_it_is_acknowledged() -> None:
    run = queued("exchange")
    claimed = claim(run)
    assert claimed is not None
    step = Step("http", {"service": "exchange", "path": "/fault"})
    event = Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "break it")
    ledger.open_fault(claimed, event, do=step, undo=step, timeout=5)
    finish(claimed, Rollback.DIRTY)
    waiting = queued("exchange")
    assert claim(waiting) is None
    assert "with a fault that is not undone" in waits_for(waiting)
    assert fault_commands.acknowledge_fault(run.faults.get(), by="ann", reason="the service is retired")
    assert claim(waiting) is not None


def test_a_name_that_no_service_can_have_does_not_block_its_run() -> None:
    claimed = claim(queued("x" * 64))  # longer than the column, where the database looks at that
    assert claimed is not None
    do, event = (
        Step("http", {"service": "x" * 64}),
        Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "break it"),
    )
    ledger.open_fault(claimed, event, do=do, undo=do, timeout=5)


@pytest.mark.parametrize(
    "do",
    [
        Step("http", {"url": "http://exchange.test:9101/fault", "method": "POST"}),
        Step("tcp", {"host": "exchange.test", "port": 9101}),
        Step("wait", {"duration": "1ms"}),  # as a command whose undo alone names the service
        Step("http", {"service": "exchange-by-another-name", "path": "/fault"}),
    ],
)
def test_a_dirty_fault_holds_its_service_however_its_steps_name_it(do: Step) -> None:
    for name in ("exchange", "exchange-by-another-name"):
        registered_services.register_service(name, "http://exchange.test:9101")
    claimed = claim(queued("exchange"))
    assert claimed is not None
    event = Event(EventKind.FAULT_INJECTING, timezone.now(), "chaos", "break it")
    undo = Step("http", {"service": "exchange", "path": "/fault"})
    ledger.open_fault(claimed, event, do=do, undo=undo, timeout=5)
    finish(claimed, Rollback.DIRTY)
    other = queued("exchange")
    assert claim(other) is None
    assert "with a fault that is not undone" in waits_for(other)


def test_a_run_that_is_not_to_wait_is_refused_with_the_reason_and_nothing_is_stored() -> None:
    claim(queued("exchange"))
    with pytest.raises(CannotBegin, match="service 'exchange' is held by"):
        queued("exchange", wait=False)
    assert Run.objects.count() == 1


def test_the_global_stop_ends_running_runs_and_keeps_new_ones_queued_until_it_is_released() -> None:
    claimed = claim(queued("exchange"))
    assert claimed is not None
    assert global_stop.pull_global_stop(by="ann", reason="an incident") == 1
    assert stop_requests.find_stop_request(claimed) == "the global stop, pulled by ann (an incident)"
    waiting = queued("custodian")
    assert claim(waiting) is None
    assert "pulled by ann" in waits_for(waiting)
    global_stop.pull_global_stop(by="bob", reason="the other one")
    assert "pulled by ann (an incident; bob: the other one)" in waits_for(waiting)
    assert global_stop.release_global_stop()
    assert waits_for(waiting) == ""
    assert claim(waiting) is not None


def test_the_global_stop_is_pulled_and_released_on_home_and_by_the_api(admin_client: Client) -> None:
    home, api = reverse("admin:index"), reverse("api:stop")
    admin_client.post(reverse("admin:global_stop"), {"reason": "an incident"})
    assert b"an incident" in admin_client.get(home).content
    admin_client.post(reverse("admin:global_stop"), {"release": "yes"})
    assert b"Stop everything" in admin_client.get(home).content
    answer = admin_client.post(api, {"reason": "by the API"}, content_type="application/json")
    assert answer.json() == {"stopped_runs": 0}
    assert b"by the API" in admin_client.get(home).content
    assert admin_client.delete(api).status_code == 204


def test_a_run_is_stopped_by_the_api_and_one_that_is_not_there_is_a_problem(admin_client: Client) -> None:
    run = queued("exchange")
    claimed = claim(run)
    assert claimed is not None
    answer = admin_client.post(reverse("api:stop_run", args=[run.id]), {}, "application/json")
    assert answer.json() == {"run": str(run.id), "stopping": True}
    assert stop_requests.find_stop_request(claimed) == "admin"
    assert (
        admin_client.post(reverse("api:stop_run", args=[run.id]), {}, "application/json").json()["stopping"]
        is False
    )
    missing = admin_client.post(reverse("api:stop_run", args=[uuid4()]), {}, "application/json")
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/problem+json")


def test_nobody_pulls_the_global_stop_without_the_permission(client: Client, django_user_model: type) -> None:
    user = django_user_model.objects.create_user("viewer", password="secret-viewer", is_staff=True)  # type: ignore[attr-defined]
    client.force_login(user)
    assert client.post(reverse("admin:global_stop"), {"reason": "mine"}).status_code == 403
    assert client.post(reverse("api:stop_run", args=[uuid4()])).status_code == 403
    answer = client.post(reverse("api:stop"), {"reason": "mine"}, content_type="application/json")
    assert answer.status_code == 403


def test_the_admin_does_not_delete_a_held_service(admin_client: Client) -> None:
    service = registered_services.register_service("exchange", "http://exchange.test:9101")
    claim(queued("exchange"))
    page = reverse("admin:scenarios_service_delete", args=[service.pk])
    asked = admin_client.post(page, {"post": "yes"}, follow=True)
    assert "it is held by touching" in asked.text
    listed = reverse("admin:scenarios_service_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [service.pk], "post": "yes"}
    assert "it is held by touching" in admin_client.post(listed, chosen, follow=True).text
    assert Service.objects.filter(name="exchange").exists()
